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

// listsAge is how long fetched package lists are taken as current.
const listsAge = 24 * time.Hour

const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// errNotInArchive says that a suite or package is not at the mirror (any more).
var errNotInArchive = errors.New("not at this mirror")

// require fails with the one line that says what to install.
func require(tools map[string]string) error {
	var missing []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on this host: run `sudo apt-get install -y %s`", strings.Join(missing, " "))
	}
	return nil
}

// Mirror gives the Debian archive that this host's own apt uses, or
// $CTKEEPER_E2E_MIRROR where the host is no Debian.
func Mirror() (string, error) {
	if uri := os.Getenv("CTKEEPER_E2E_MIRROR"); uri != "" {
		return uri, nil
	}
	out, err := output("apt-get", "indextargets", "--format", "$(IDENTIFIER)|$(COMPONENT)|$(ORIGIN)|$(LABEL)|$(REPO_URI)")
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
		// Before the first `apt-get update` nothing is known but the address.
		if f[2] == "" && strings.HasSuffix(strings.TrimSuffix(f[4], "/"), "/debian") && candidate == "" {
			candidate = f[4]
		}
	}
	if candidate == "" {
		return "", errors.New("this host's apt knows no Debian archive: set CTKEEPER_E2E_MIRROR to one")
	}
	return candidate, nil
}

// A suite is a private apt configuration for one Debian suite: own lists, own
// (empty) installed state, and from the host only how to reach a mirror.
type suite struct {
	name, dir, mirror string
}

func openSuite(c Cache, name string) (*suite, error) {
	mirror, err := Mirror()
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
	if err := os.WriteFile(filepath.Join(s.dir, "sources.list"), []byte(source), 0o644); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "status"), nil, 0o644); err != nil {
		return nil, err
	}
	return s, s.update()
}

// apt runs one of the apt commands in dir under the private configuration.
func (s *suite) apt(dir, command string, args ...string) (string, error) {
	options := []string{
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
	}
	var argv []string
	for _, o := range options {
		argv = append(argv, "-o", o)
	}
	cmd := exec.Command(command, append(argv, args...)...)
	cmd.Dir = dir
	return outputOf(cmd)
}

// update fetches the lists when they are old. Old lists serve when there is no
// network, as long as the packages they name are in the cache.
func (s *suite) update() error {
	stamp := filepath.Join(s.dir, "updated")
	info, statErr := os.Stat(stamp)
	if statErr == nil && time.Since(info.ModTime()) < listsAge {
		return nil
	}
	_, err := s.apt("", "apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update")
	switch {
	case err == nil:
		return os.WriteFile(stamp, nil, 0o644)
	case statErr == nil:
		fmt.Fprintf(os.Stderr, "rig: package lists of %s are from %s: %v\n", s.name, info.ModTime().Format(time.DateTime), err)
		return nil
	}
	return fmt.Errorf("suite %s is %w (it may have moved to Debian's archive of old releases): %w", s.name, errNotInArchive, err)
}

// show gives a package's candidate as control fields.
func (s *suite) show(pkg string) (map[string]string, error) {
	out, err := s.apt("", "apt-cache", "show", "--no-all-versions", pkg)
	if err != nil {
		return nil, fmt.Errorf("package %s of suite %s is %w: %w", pkg, s.name, errNotInArchive, err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(out) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && fields[key] == "" {
			fields[key] = value
		}
	}
	return fields, nil
}

func output(name string, args ...string) (string, error) {
	return outputOf(exec.Command(name, args...))
}

// outputOf runs a command and gives its standard output; an error has its
// standard error.
func outputOf(cmd *exec.Cmd) (string, error) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("cannot run %s: %w: %s", filepath.Base(cmd.Path), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}
