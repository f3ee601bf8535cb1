package rig

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// rootSuite is the same whatever the kernel: one user space, several kernels.
const rootSuite = "bookworm"

var rootPackages = []string{
	"systemd", "systemd-sysv", "udev", "kmod", "dbus",
	"iproute2", "iptables", "nftables", "conntrack", "procps",
}

// rootWithout is left out of the archive: nothing in a scenario needs it, and an
// emulated processor has to unpack what is in it.
var rootWithout = []string{
	"usr/lib/udev/hwdb", "usr/lib/x86_64-linux-gnu/perl", "usr/lib/x86_64-linux-gnu/libperl", "usr/bin/perl",
	"usr/share/perl", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo",
	"usr/lib/x86_64-linux-gnu/gconv", "usr/share/i18n", "usr/share/bash-completion",
	"var/lib/apt/lists", "var/cache/apt", "boot/",
}

// depmodFiles are taken out of the root to run its own depmod on the host, which
// may have none, or one that cannot read the compression of these modules.
var depmodFiles = []string{"kmod", "ld-linux-x86-64.so.2", "libc.so.6", "liblzma.so.5", "libzstd.so.1", "libcrypto.so.3"}

const rootRecipe = "3 minbase newc"

// A Root is a Debian system as an archive.
type Root struct {
	Archive string
	tools   string
}

// PrepareRoot makes the Debian root, or takes it from the cache.
func PrepareRoot(c Cache) (Root, error) {
	s, err := openSuite(c, rootSuite)
	if err != nil {
		return Root{}, err
	}
	// base-files carries the point release, systemd is what most depends on.
	base, err := s.show("base-files")
	if err != nil {
		return Root{}, err
	}
	systemd, err := s.show("systemd")
	if err != nil {
		return Root{}, err
	}
	recipe := strings.Join([]string{rootRecipe, strings.Join(rootPackages, " "), strings.Join(rootWithout, " ")}, "\n")
	dir, err := c.Entry("root", base["Version"]+"-"+systemd["Version"], recipe, func(dir string) error {
		return buildRoot(s.mirror, dir)
	})
	return Root{Archive: filepath.Join(dir, "root.cpio"), tools: filepath.Join(dir, "tools")}, err
}

func buildRoot(mirror, dir string) error {
	tools := filepath.Join(dir, "tools")
	if err := os.MkdirAll(tools, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "--architectures=amd64", "--format=tar",
		"--include="+strings.Join(rootPackages, ","), "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--keyring="+keyring, rootSuite, "-", mirror)
	var errs strings.Builder
	cmd.Stderr = &errs
	tarball, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cannot start mmdebstrap: %w", err)
	}
	archiveErr := writeArchive(filepath.Join(dir, "root.cpio"), func(a *Archive) error {
		return a.FromTar(tarball, unwanted, toolKeeper(tools))
	})
	_, _ = io.Copy(io.Discard, tarball)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("cannot make a %s root: mmdebstrap: %w: %s", rootSuite, err, strings.TrimSpace(errs.String()))
	}
	return archiveErr
}

func unwanted(name string) bool {
	for _, prefix := range rootWithout {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// toolKeeper saves the files that depmod needs while they pass by. Libraries are
// often links with a longer name behind them, so the body is found by its stem.
func toolKeeper(dir string) func(string, int64, io.Reader) (io.Reader, error) {
	return func(name string, _ int64, body io.Reader) (io.Reader, error) {
		base := path.Base(name)
		for _, want := range depmodFiles {
			if base != want && !strings.HasPrefix(base, want+".") {
				continue
			}
			if where := path.Base(path.Dir(name)); where != "bin" && where != "x86_64-linux-gnu" {
				continue
			}
			content, err := io.ReadAll(body)
			if err != nil {
				return nil, err
			}
			return strings.NewReader(string(content)), os.WriteFile(filepath.Join(dir, want), content, 0o755)
		}
		return body, nil
	}
}

// depmod writes the dependency lists of base/lib/modules/release.
func (r Root) depmod(base, release string) error {
	_, err := output(filepath.Join(r.tools, "ld-linux-x86-64.so.2"), "--library-path", r.tools,
		"--argv0", "depmod", filepath.Join(r.tools, "kmod"), "-b", base, release)
	return err
}
