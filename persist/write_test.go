package persist_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/persist"
)

// write writes a new plan, and returns the paths that it changed.
func write(t *testing.T, root string, opts persist.Options) []string {
	t.Helper()
	p, err := newPlan(t, root, opts)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := p.Write(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func wantChanged(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s changes (-want +got):\n%s", what, diff)
	}
}

// TestWriteTwice: a file is written again only if its content or its mode differs.
func TestWriteTwice(t *testing.T) {
	root := debian(t, usual)
	all := []string{persist.ModprobePath, persist.ModulesLoadPath, persist.SysctlPath, persist.UdevRulePath}
	wantChanged(t, "the first write", write(t, root, persist.Options{Udev: true}), all...)
	for _, path := range all {
		if mode := modeOf(t, root, path); mode != 0o644 {
			t.Errorf("%s has mode %o", path, mode)
		}
	}
	before := stamp(t, root, persist.ModprobePath)
	wantChanged(t, "the second", write(t, root, persist.Options{Udev: true}))
	wantChanged(t, "one without the flag", write(t, root, persist.Options{}))
	if stamp(t, root, persist.ModprobePath) != before {
		t.Error("an unchanged file was written")
	}
	if err := os.Chmod(filepath.Join(root, persist.ModprobePath), 0o600); err != nil {
		t.Fatal(err)
	}
	wantChanged(t, "another mode", write(t, root, persist.Options{}), persist.ModprobePath)
	if mode := modeOf(t, root, persist.ModprobePath); mode != 0o644 {
		t.Errorf("the mode is still %o", mode)
	}
}

// TestUpdateWithoutFlags: a file that a flag selected once is kept up to date without the flag.
func TestUpdateWithoutFlags(t *testing.T) {
	root := debian(t, usual)
	write(t, root, persist.Options{Udev: true, Sysconfig: true})
	kerneltree.Put(t, root, config.DefaultMain, strings.Replace(usual, "300000", "400000", 1))
	wantChanged(t, "a new max", write(t, root, persist.Options{}), persist.SysctlPath)
	if mode := modeOf(t, root, persist.SysconfigPath); mode != 0o755 {
		t.Errorf("the script has mode %o", mode)
	}
	kerneltree.Put(t, root, config.DefaultMain, "settings: {udp_timeout: {at_most: 5s}}\n")
	wantChanged(t, "a configuration that needs no file", write(t, root, persist.Options{}),
		persist.ModprobePath, persist.SysconfigPath, persist.SysctlPath, persist.UdevRulePath)
	for _, path := range persist.Paths() {
		if _, err := os.Lstat(filepath.Join(root, path)); err == nil {
			t.Errorf("%s still exists", path)
		}
	}
}

func TestSysconfigInPlaceOfModulesLoad(t *testing.T) {
	root := debian(t, usual)
	write(t, root, persist.Options{})
	changed := write(t, root, persist.Options{Sysconfig: true})
	wantChanged(t, "--sysconfig", changed, persist.ModulesLoadPath, persist.SysconfigPath)
}

// TestRemove removes our files and leaves foreign ones, whatever the configuration.
func TestRemove(t *testing.T) {
	root := debian(t, usual)
	write(t, root, persist.Options{Udev: true, Sysconfig: true})
	kerneltree.Put(t, root, persist.UdevRulePath, "# mine now\n")
	p, err := persist.NewPlan(tree.At(root), nil, persist.Options{Remove: true})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{persist.UdevRulePath + " left unchanged: not written by ctkeeper"}
	if diff := cmp.Diff(want, p.Notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	changed, err := p.Write(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	wantChanged(t, "remove", changed, persist.ModprobePath, persist.SysconfigPath, persist.SysctlPath)
	if read(t, root, persist.UdevRulePath) != "# mine now\n" {
		t.Error("a foreign file was changed")
	}
}

// TestUdevFilesWithoutSystemd: without systemd-sysctl, the udev files are left unchanged.
func TestUdevFilesWithoutSystemd(t *testing.T) {
	root := debian(t, usual)
	write(t, root, persist.Options{Udev: true})
	if err := os.RemoveAll(filepath.Join(root, "usr/lib/systemd")); err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(t, root, persist.Options{})
	const want = "cannot write /etc/udev/rules.d/90-ctkeeper.rules: " +
		"no systemd-sysctl in /usr/lib/systemd or /lib/systemd"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if diff := p.Diff(); diff != "" {
		t.Errorf("the plan changes:\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	root := debian(t, usual)
	p, err := newPlan(t, root, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "diff-new", p.Diff())
	if _, err := os.Lstat(filepath.Join(root, persist.ModprobePath)); err == nil {
		t.Error("NewPlan writes")
	}
	write(t, root, persist.Options{})
	kerneltree.Put(t, root, config.DefaultMain, "settings: {hashsize: 200000, max: 300000}\n")
	if err := os.Chmod(filepath.Join(root, persist.ModprobePath), 0o640); err != nil {
		t.Fatal(err)
	}
	if p, err = newPlan(t, root, persist.Options{}); err != nil {
		t.Fatal(err)
	}
	golden(t, "diff-changed", p.Diff())
	if p, err = persist.NewPlan(tree.At(root), nil, persist.Options{Remove: true}); err != nil {
		t.Fatal(err)
	}
	golden(t, "diff-removed", p.Diff())
}

// TestWriteErrors: after a file that cannot be written, the others are written.
func TestWriteErrors(t *testing.T) {
	root := debian(t, usual)
	p, err := newPlan(t, root, persist.Options{Udev: true})
	if err != nil {
		t.Fatal(err)
	}
	kerneltree.Put(t, root, "etc/modprobe.d", "a file\n")
	kerneltree.Put(t, root, persist.UdevRulePath+"/x", "a directory\n")
	changed, err := p.Write(tree.At(root))
	wantChanged(t, "the write", changed, persist.ModulesLoadPath, persist.SysctlPath)
	const want = "cannot write /etc/modprobe.d/ctkeeper.conf: mkdir /etc/modprobe.d: not a directory\n" +
		"cannot write /etc/udev/rules.d/90-ctkeeper.rules: file exists"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	report := p.Report(changed, false)
	if diff := cmp.Diff([]persist.FileReport{
		{Path: persist.ModprobePath, Change: persist.Failed}, {Path: persist.ModulesLoadPath, Change: persist.Written},
		{Path: persist.SysctlPath, Change: persist.Written}, {Path: persist.UdevRulePath, Change: persist.Failed},
	}, report.Files); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestIsOurs(t *testing.T) {
	for text, want := range map[string]bool{
		persist.Header: true, persist.Header + "\nx\n": true, "#!/bin/sh\n" + persist.Header + "\n": true,
		"": false, "#!": false, "#!/bin/sh\n": false,
		"x\n" + persist.Header + "\n": false, persist.Header + " \n": false,
	} {
		if got := persist.IsOurs([]byte(text)); got != want {
			t.Errorf("IsOurs(%q) is %t", text, got)
		}
	}
}

func modeOf(t *testing.T, root, path string) fs.FileMode {
	t.Helper()
	return info(t, root, path).Mode()
}

// stamp returns a file's modification time.
func stamp(t *testing.T, root, path string) int64 {
	t.Helper()
	return info(t, root, path).ModTime().UnixNano()
}

func info(t *testing.T, root, path string) fs.FileInfo {
	t.Helper()
	info, err := os.Lstat(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestReadOnly: on a read-only file system nothing is written, and the error names each file.
func TestReadOnly(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	root := debian(t, usual)
	for _, step := range []struct {
		source string
		flags  uintptr
	}{
		{"none", unix.MS_REC | unix.MS_PRIVATE}, // mounts stay in this namespace
		{root, unix.MS_BIND},
		{root, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY},
	} {
		target := root
		if step.source == "none" {
			target = "/"
		}
		if err := unix.Mount(step.source, target, "", step.flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = unix.Unmount(root, unix.MNT_DETACH) }() // else TempDir cannot be removed
	p, err := newPlan(t, root, persist.Options{})
	if err != nil {
		t.Fatal(err)
	}
	changed, err := p.Write(tree.At(root))
	const want = "cannot write /etc/modprobe.d/ctkeeper.conf: mkdir /etc/modprobe.d: read-only file system\n" +
		"cannot write /etc/modules-load.d/ctkeeper.conf: mkdir /etc/modules-load.d: read-only file system"
	if !errors.Is(err, unix.EROFS) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	wantChanged(t, "the write", changed)
}
