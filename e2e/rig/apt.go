package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// listsAge is how long downloaded package lists count as current.
const listsAge = 24 * time.Hour

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// errNotInArchive means that a suite or package is not on the mirror, or no longer.
var errNotInArchive = errors.New("not on this mirror")

// findMirror returns the URI of the Debian archive that this host's apt uses, or $CTKEEPER_E2E_MIRROR if it is set,
// as on a host that is not Debian.
func findMirror() (string, error) {
	if uri := os.Getenv("CTKEEPER_E2E_MIRROR"); uri != "" {
		return uri, nil
	}
	out, err := output("apt-get", "indextargets",
		"--format", "$(IDENTIFIER)|$(COMPONENT)|$(ORIGIN)|$(LABEL)|$(REPO_URI)")
	if err != nil {
		return "", err
	}
	candidate := ""
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 5 || f[0] != "Packages" || f[1] != "main" {
			continue
		}
		if f[2] == "Debian" && f[3] == "Debian" {
			return f[4], nil
		}
		// Before the first `apt-get update` there is no origin, only the URI.
		if f[2] == "" && strings.HasSuffix(strings.TrimSuffix(f[4], "/"), "/debian") && candidate == "" {
			candidate = f[4]
		}
	}
	if candidate == "" {
		return "", errors.New("no Debian archive in this host's apt sources: set CTKEEPER_E2E_MIRROR to the URI of one")
	}
	return candidate, nil
}

// A suite is a private apt configuration for one Debian suite. It has its own lists and an empty list of installed
// packages, and takes only the mirror from the host.
type suite struct {
	name, dir, mirror string
}

func openSuite(c Cache, name string) (*suite, error) {
	mirror, err := findMirror()
	if err != nil {
		return nil, err
	}
	s := &suite{name: name, dir: filepath.Join(c.Dir, "apt-"+name), mirror: mirror}
	for _, d := range []string{"parts", "preferences", "state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	source := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, mirror, name)
	err = errors.Join(writeFile(filepath.Join(s.dir, "sources.list"), source),
		writeFile(filepath.Join(s.dir, "status"), ""))
	if err != nil {
		return nil, err
	}
	return s, s.update()
}

// apt runs an apt command in dir with the private configuration.
func (s *suite) apt(dir, command string, args ...string) (string, error) {
	var argv []string
	for _, option := range []string{
		"Dir::Etc::sourcelist=" + filepath.Join(s.dir, "sources.list"),
		"Dir::Etc::sourceparts=" + filepath.Join(s.dir, "parts"),
		"Dir::Etc::preferences=/dev/null",
		"Dir::Etc::preferencesparts=" + filepath.Join(s.dir, "preferences"),
		"Dir::State=" + filepath.Join(s.dir, "state"),
		"Dir::State::status=" + filepath.Join(s.dir, "status"),
		"Dir::Cache=" + filepath.Join(s.dir, "cache"),
		"APT::Architecture=amd64", "APT::Sandbox::User=root",
		"Acquire::Languages=none", "Acquire::Retries=3",
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
	} {
		argv = append(argv, "-o", option)
	}
	cmd := exec.Command(command, append(argv, args...)...)
	cmd.Dir = dir
	return outputOf(cmd)
}

// update downloads the lists if they are old. Without a network old lists are used: they work as long as the
// packages that they name are in the cache.
func (s *suite) update() error {
	stamp := filepath.Join(s.dir, "updated")
	info, statErr := os.Stat(stamp)
	if statErr == nil && time.Since(info.ModTime()) < listsAge {
		return nil
	}
	_, err := s.apt("", "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
	switch {
	case err == nil:
		return writeFile(stamp, "")
	case statErr == nil:
		age := info.ModTime().Format(time.DateTime)
		fmt.Fprintf(os.Stderr, "rig: using the package lists of %s from %s: %v\n", s.name, age, err)
		return nil
	}
	return fmt.Errorf("suite %s is %w (perhaps it moved to Debian's archive of old releases): %w",
		s.name, errNotInArchive, err)
}

// version returns the version of a package that apt would install.
func (s *suite) version(pkg string) (string, error) {
	out, err := s.apt("", "apt-cache", "show", "--no-all-versions", pkg)
	if err != nil {
		return "", fmt.Errorf("package %s of suite %s is %w: %w", pkg, s.name, errNotInArchive, err)
	}
	_, version, _ := strings.Cut(out, "\nVersion: ")
	version, _, _ = strings.Cut(version, "\n")
	return version, nil
}

// release returns what names the state of a suite in the cache: base-files has the point release, and systemd is the
// package that the tests depend on most.
func (s *suite) release() (string, error) {
	base, err := s.version("base-files")
	if err != nil {
		return "", err
	}
	systemd, err := s.version("systemd")
	return base + "-" + systemd, err
}

// dependencies returns a package and all that it depends on, directly or not, whatever alternatives there are.
func (s *suite) dependencies(pkg string) ([]string, error) {
	out, err := s.apt("", "apt-cache", "depends", "--recurse", "--important", pkg)
	if err != nil {
		return nil, err
	}
	var packages []string
	for line := range strings.Lines(out) {
		if name := strings.TrimSuffix(line, "\n"); !strings.ContainsAny(name, " <") {
			packages = append(packages, name)
		}
	}
	return packages, nil
}
