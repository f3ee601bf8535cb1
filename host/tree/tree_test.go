package tree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

func put(t *testing.T, root, path, content string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func symlink(t *testing.T, root, path, target string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

func TestRead(t *testing.T) {
	root := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	put(t, filepath.Dir(outside), "secret", "outside")
	put(t, root, "etc/file", "inside")
	put(t, root, "etc/long", strings.Repeat("x", 11))
	put(t, root, "etc/empty", "")
	symlink(t, root, "etc/absolute", "/etc/file")
	symlink(t, root, "etc/climbing", "../../../../../etc/file")
	symlink(t, root, "etc/leaving", outside)
	symlink(t, root, "etc/loop", "loop")
	symlink(t, root, "lib", "etc")
	symlink(t, root, "etc/null", "/dev/null")
	if err := syscall.Mkfifo(filepath.Join(root, "etc/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		text string
		err  error
	}{
		"/etc/file":     {text: "inside"},
		"/etc/absolute": {text: "inside"},
		"/etc/climbing": {text: "inside"},
		"/lib/file":     {text: "inside"},
		"/etc/empty":    {},
		"/etc/leaving":  {err: fs.ErrNotExist},
		"/etc/loop":     {err: syscall.ELOOP},
		"/etc/long":     {err: tree.ErrTooLarge},
		"/etc":          {err: syscall.EISDIR},
		"/etc/fifo":     {err: tree.ErrNotRegular},
		"/etc/file/x":   {err: syscall.ENOTDIR},
		"/missing":      {err: fs.ErrNotExist},
	} {
		got, err := tree.At(root).Read(path, 10)
		if string(got) != want.text || !errors.Is(err, want.err) {
			t.Errorf("%s: %q, %v; want %q, %v", path, got, err, want.text, want.err)
		}
		if err != nil && strings.Contains(err.Error(), root) {
			t.Errorf("%s: the error names the place on this host: %v", path, err)
		}
	}
	if !tree.At(root).IsNull("/etc/null") || tree.At(root).IsNull("/etc/file") {
		t.Error("a link to /dev/null is not told from a file")
	}
	if tree.At(root).Gone("/etc/loop") || !tree.At(root).Gone("/etc/other") {
		t.Error("a link that leads nowhere is not told from nothing")
	}
}

func TestTheRunningSystem(t *testing.T) {
	for _, root := range []string{"", "/", "//"} {
		if !tree.At(root).Live() {
			t.Errorf("At(%q) is not the running system", root)
		}
	}
	if tree.At(".").Live() {
		t.Error("the directory at hand is taken for the running system")
	}
	text, err := tree.Tree{}.Read("/proc/self/comm", 64)
	if err != nil || len(text) == 0 {
		t.Errorf("/proc/self/comm: %q, %v", text, err)
	}
	if _, err := (tree.Tree{}).Read("/dev/null", 64); !errors.Is(err, tree.ErrNotRegular) {
		t.Errorf("/dev/null: %v, want %v", err, tree.ErrNotRegular)
	}
}

func TestHead(t *testing.T) {
	root := t.TempDir()
	put(t, root, "log", "abcdef")
	for limit, want := range map[int64]string{0: "", 3: "abc", 6: "abcdef", 9: "abcdef"} {
		got, err := tree.At(root).Head("/log", limit)
		if string(got) != want || err != nil {
			t.Errorf("the first %d bytes are %q, %v, want %q", limit, got, err, want)
		}
	}
	if _, err := tree.At(root).Head("/", 1); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("the head of a directory is %v, want %v", err, syscall.EISDIR)
	}
}

func TestTail(t *testing.T) {
	root := t.TempDir()
	put(t, root, "log", "one\ntwo\nthree\n")
	for limit, want := range map[int64]string{100: "one\ntwo\nthree\n", 14: "one\ntwo\nthree\n", 8: "three\n", 3: ""} {
		got, err := tree.At(root).Tail("/log", limit)
		if err != nil || string(got) != want {
			t.Errorf("the last %d bytes: %q, %v; want %q", limit, got, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	root := t.TempDir()
	put(t, root, "data/v1/file", "")
	symlink(t, root, "data/now", "v1")
	symlink(t, root, "etc/link", "/data/now/file")
	end, steps, err := tree.At(root).Resolve("/etc/link")
	want := []tree.Step{
		{"/", "etc"}, {"/etc", "link"}, {"/", "data"}, {"/data", "now"}, {"/data", "v1"}, {"/data/v1", "file"},
	}
	if diff := cmp.Diff(want, steps); end != "/data/v1/file" || err != nil || diff != "" {
		t.Errorf("%s, %v (-want +got)\n%s", end, err, diff)
	}
}

func TestReplace(t *testing.T) {
	root := t.TempDir()
	host := tree.At(root)
	put(t, root, "elsewhere", "untouched")
	symlink(t, root, "etc/linked.conf", "/elsewhere")
	symlink(t, root, "conf.d", "/etc/new")
	for _, path := range []string{
		"/etc/fresh.conf", "/etc/fresh.conf", "/etc/linked.conf", "/etc/new/deep/x.conf", "/conf.d/y.conf",
	} {
		if err := host.Replace(path, []byte("text of "+path), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := host.Read(path, 100)
		info, serr := host.Stat(path)
		if err := errors.Join(err, serr); err != nil || string(got) != "text of "+path || info.Mode() != 0o640 {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if got, _ := host.Read("/elsewhere", 100); string(got) != "untouched" {
		t.Errorf("the file that a link led to was written: %q", got)
	}
	for _, dir := range []string{"/etc", "/etc/new", "/etc/new/deep"} {
		names, err := host.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, ".") {
				t.Errorf("%s is left in %s", name, dir)
			}
		}
	}
}

// What a writer left that was killed goes with the next writing or removal, and nothing
// else does.
func TestReplaceSweeps(t *testing.T) {
	for what, change := range map[string]func(tree.Tree) error{
		"Replace": func(host tree.Tree) error { return host.Replace("/etc/x.conf", nil, 0o644) },
		"Remove":  func(host tree.Tree) error { _, err := host.Remove("/etc/x.conf"); return err },
	} {
		root := t.TempDir()
		old := time.Now().Add(-time.Hour)
		for _, name := range []string{
			".x.conf.12", ".x.conf.3456789", ".x.conf.old", ".x.conf.1.conf", ".y.conf.12", "x.conf.12",
		} {
			put(t, root, "etc/"+name, "")
			if err := os.Chtimes(filepath.Join(root, "etc", name), old, old); err != nil {
				t.Fatal(err)
			}
		}
		put(t, root, "etc/.x.conf.34", "somebody is at it")
		put(t, root, "etc/x.conf", "")
		if err := change(tree.At(root)); err != nil {
			t.Fatal(err)
		}
		want := []string{".x.conf.1.conf", ".x.conf.34", ".x.conf.old", ".y.conf.12", "x.conf", "x.conf.12"}
		if what == "Remove" {
			want = slices.DeleteFunc(want, func(name string) bool { return name == "x.conf" })
		}
		got, err := tree.At(root).List("/etc")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s leaves %v (-want +got):\n%s", what, err, diff)
		}
	}
}

func TestReplaceFails(t *testing.T) {
	root := t.TempDir()
	host := tree.At(root)
	put(t, root, "etc/taken/file", "")
	put(t, root, "file", "")
	for path, want := range map[string]string{
		"/etc/taken":  "write /etc/taken: file exists",
		"/file/below": "mkdir /file: not a directory",
	} {
		if err := host.Replace(path, nil, 0o644); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	if names, _ := host.List("/etc"); len(names) != 1 {
		t.Errorf("left behind: %q", names)
	}
}

func TestRemove(t *testing.T) {
	root := t.TempDir()
	host := tree.At(root)
	put(t, root, "file", "")
	symlink(t, root, "link", "/file")
	if removed, err := host.Remove("/link"); !removed || err != nil {
		t.Errorf("removed %t, %v", removed, err)
	}
	if removed, err := host.Remove("/link"); removed || err != nil {
		t.Errorf("a second time: removed %t, %v", removed, err)
	}
	if !host.Exists("/file") {
		t.Error("what the link led to is gone")
	}
}

func TestPlace(t *testing.T) {
	got := tree.Place{File: "/etc/x.conf", Line: 3}.String() + " " + tree.Place{File: "/etc/x.conf"}.String()
	if got != "/etc/x.conf:3 /etc/x.conf" {
		t.Error(got)
	}
	trouble := tree.Trouble{Place: tree.Place{File: "/etc/x.conf", Line: 3}, Err: fs.ErrPermission}
	if trouble.Error() != "/etc/x.conf:3: permission denied" || !errors.Is(trouble, fs.ErrPermission) {
		t.Error(trouble)
	}
}
