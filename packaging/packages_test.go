//go:build packages

package packaging

import (
	"debug/buildinfo"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// dist is what `make packages` made.
const dist = "../dist"

func distFiles(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dist, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s (%v): run make packages", filepath.Join(dist, pattern), err)
	}
	return files
}

// check runs a program that is silent, or ends with 0, if all is well.
func check(t *testing.T, pkg, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		netns.Cannot(t, "no %s: apt-get install %s", name, pkg)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestPackagesLintian(t *testing.T) {
	check(t, "lintian", "lintian", append([]string{
		"--info", "--display-info", "--pedantic", "--allow-root", "--fail-on", "error,warning,info,pedantic",
	}, distFiles(t, "*.deb")...)...)
}

// TestPackagesRpmlint keeps cpio, by which rpmlint unpacks, from writing to this machine: names in packages of nfpm
// begin with a slash.
func TestPackagesRpmlint(t *testing.T) {
	bin := t.TempDir()
	const relative = "#!/bin/sh\nPATH=${PATH#*:}\nexec cpio --no-absolute-filenames \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "cpio"), []byte(relative), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	out := check(t, "rpmlint", "rpmlint", append([]string{"-c", "rpmlint.toml"}, distFiles(t, "*.rpm")...)...)
	if want := "0 errors, 0 warnings"; !strings.Contains(out, want) {
		t.Errorf("rpmlint, want %s:\n%s", want, out)
	}
}

// contents returns the files of a package, without those that only its family has, and without directories.
func contents(t *testing.T, command, pattern string) []string {
	t.Helper()
	own := regexp.MustCompile(`^(usr/share/(licenses|lintian)/|usr/share/doc/[^/]*/(copyright|changelog)|` +
		`\.|post-|pre-|etc/ctkeeper$|etc/ctkeeper/conf.d)`)
	files := distFiles(t, pattern)
	var list []string
	for line := range strings.Lines(check(t, "rpm, zstd", "sh", "-c", command, "sh", files[0])) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "./"), "/")
		if line != "" && !strings.HasSuffix(line, "/") && !own.MatchString(line) {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}

// TestPackagesContents checks that every family has the files of the Debian package, and that these are all there.
func TestPackagesContents(t *testing.T) {
	for _, name := range []string{"ctkeeper", "ctkeeper-exporter"} {
		want := contents(t, `dpkg-deb --fsys-tarfile "$1" | tar -t`, name+"_[0-9]*_amd64.deb")
		for command, pattern := range map[string]string{
			`rpm -qlvp "$1" | sed -n 's,^-.* /,/,p'`: name + "-[0-9]*.x86_64.rpm",
			`tar -tzf "$1" 2>/dev/null`:              name + "_[0-9]*_x86_64.apk",
			`tar --zstd -tf "$1"`:                    name + "-[0-9]*-x86_64.pkg.tar.zst",
		} {
			if diff := cmp.Diff(want, contents(t, command, pattern)); diff != "" {
				t.Errorf("%s (-deb +this):\n%s", pattern, diff)
			}
		}
		for _, file := range []string{"usr/bin/" + name, "usr/lib/systemd/system/" + name + ".service",
			"usr/share/man/man8/" + name + ".8.gz"} {
			if !slices.Contains(want, file) {
				t.Errorf("%s has no %s", name, file)
			}
		}
	}
}

// TestPackagesSBOM checks that an SBOM has every module that is linked into its program, and Go.
func TestPackagesSBOM(t *testing.T) {
	for _, name := range []string{"ctkeeper", "ctkeeper-exporter"} {
		info, err := buildinfo.ReadFile(filepath.Join(dist, "work/bin/amd64", name))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(distFiles(t, name+"_[0-9]*_amd64.cdx.json")[0])
		if err != nil {
			t.Fatal(err)
		}
		var bom struct {
			Components []struct{ Name, Version string }
		}
		if err := json.Unmarshal(text, &bom); err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for _, m := range append(info.Deps, &debug.Module{Path: "std", Version: info.GoVersion}) {
			want = append(want, m.Path+" "+m.Version)
		}
		for _, c := range bom.Components {
			got = append(got, c.Name+" "+c.Version)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: modules of the program and of its SBOM (-program +SBOM):\n%s", name, diff)
		}
	}
}

// TestPackagesSize checks the promise that a program has less than 15 MiB.
func TestPackagesSize(t *testing.T) {
	for _, file := range distFiles(t, "work/bin/*/ctkeeper*") {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if mib := float64(info.Size()) / (1 << 20); mib >= 15 {
			t.Errorf("%s: %.1f MiB", file, mib)
		} else {
			t.Logf("%s: %.1f MiB", file, mib)
		}
	}
}

// TestPackagesReproducible makes packages and image again from a clone in another directory, as a user with other
// habits.
func TestPackagesReproducible(t *testing.T) {
	changes := check(t, "git", "git", "-C", "..", "status", "--porcelain")
	if changes != "" {
		netns.Cannot(t, "the tree has changes, which no clone has:\n%s", changes)
	}
	clone := filepath.Join(t.TempDir(), "another", "place")
	check(t, "git", "git", "clone", "-q", "..", clone)
	arches := map[string]bool{}
	for _, file := range distFiles(t, "*.deb") {
		name := strings.TrimSuffix(file, ".deb")
		arches[name[strings.LastIndex(name, "_")+1:]] = true
	}
	var names []string
	for name := range arches {
		names = append(names, name)
	}
	slices.Sort(names)
	cmd := exec.Command("sh", "-c", `umask 077 && make packages image ARCHES="$0"`, strings.Join(names, " "))
	cmd.Dir = clone
	cmd.Env = append(os.Environ(), "TZ=Pacific/Auckland", "LC_ALL=C.UTF-8", "MAKEFLAGS=", "HOSTNAME=elsewhere")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make packages image: %v\n%s", err, out)
	}
	// The index of the image has the digests of all that is in it.
	for _, file := range []string{"SHA256SUMS", "image/index.json"} {
		var texts [2]string
		for i, dir := range []string{dist, filepath.Join(clone, "dist")} {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(text)
		}
		if diff := cmp.Diff(texts[0], texts[1]); diff != "" {
			t.Errorf("%s of the tree and of a clone (-tree +clone):\n%s", file, diff)
		}
	}
	check(t, "coreutils", "sh", "-c", "cd "+dist+" && sha256sum --quiet --strict -c SHA256SUMS")
}
