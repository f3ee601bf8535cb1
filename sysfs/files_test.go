package sysfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const hashsizeParam = "sys/module/nf_conntrack/parameters/hashsize"

// opened returns the files of root, and closes them at the end of the test.
func opened(t *testing.T, root string) *sysfs.Files {
	t.Helper()
	return closing(t, sysfs.NewFiles(tree.At(root)))
}

func closing(t *testing.T, f *sysfs.Files) *sysfs.Files {
	t.Helper()
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func read(t *testing.T, f *sysfs.Files, setting string) string {
	t.Helper()
	value, err := f.Read(sysfs.Lookup(setting))
	if err != nil {
		t.Fatalf("Read(%s): %v", setting, err)
	}
	return value.String()
}

func write(t *testing.T, f *sysfs.Files, setting, value string) {
	t.Helper()
	if err := f.Write(sysfs.Lookup(setting), sysfs.Lookup(setting).Parse(value)); err != nil {
		t.Fatalf("Write(%s, %s): %v", setting, value, err)
	}
}

func TestFilesReadAndWrite(t *testing.T) {
	root := kerneltree.New(t)
	files := opened(t, root)
	for _, value := range []string{"1048576", "5", "262144", "0"} { // a shorter one leaves nothing of a longer
		write(t, files, "max", value)
		if got := read(t, files, "max"); got != value {
			t.Errorf("wrote %s, read %q", value, got)
		}
		if got := kerneltree.Get(t, root, "max"); got != value {
			t.Errorf("wrote %s, the file holds %q", value, got)
		}
	}
}

func TestFilesSeeForeignWrites(t *testing.T) {
	root := kerneltree.New(t)
	files := opened(t, root)
	if got := read(t, files, "max"); got != "65536" {
		t.Fatalf("max is %s at first", got)
	}
	kerneltree.Set(t, root, "max", "4")
	if got := read(t, files, "max"); got != "4" {
		t.Errorf("somebody wrote 4, read %q", got)
	}
}

// A tree's files outlive their names where they are held open.
func TestFilesOfAReloadedModule(t *testing.T) {
	root := kerneltree.New(t)
	files := opened(t, root)
	write(t, files, "max", "1048576")
	kerneltree.Unload(t, root)
	if value, err := files.Read(sysfs.Lookup("max")); !sysfs.Gone(err) {
		t.Errorf("after the unload: %q, %v, want an error that is Gone", value, err)
	}
	if err := files.Write(sysfs.Lookup("max"), sysfs.Number(1)); !sysfs.Gone(err) {
		t.Errorf("writing after the unload: %v, want an error that is Gone", err)
	}
	kerneltree.Load(t, root)
	if got := read(t, files, "max"); got != "65536" {
		t.Errorf("after the reload max is %s, want the default", got)
	}
	write(t, files, "max", "1048576")
	if got := kerneltree.Get(t, root, "max"); got != "1048576" {
		t.Errorf("wrote after the reload, the file holds %s", got)
	}
}

func TestFilesNeverMakeAFile(t *testing.T) {
	root := kerneltree.New(t)
	files := opened(t, root)
	kerneltree.Remove(t, root, "acct")
	err := files.Write(sysfs.Lookup("acct"), sysfs.Number(1))
	if !sysfs.Gone(err) || sysfs.Forbidden(err) {
		t.Errorf("Write to a missing file: %v, want an error that is Gone", err)
	}
	if _, err := os.Lstat(filepath.Join(root, sysfs.Lookup("acct").File())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was made (%v)", err)
	}
}

// Kernels before 4.7 show nf_conntrack_buckets 0444; a root without the sysctl
// stands for them here.
func TestHashsizeThroughTheModuleParameter(t *testing.T) {
	root := kerneltree.New(t)
	files := opened(t, root)
	kerneltree.Remove(t, root, "hashsize")
	if got := read(t, files, "hashsize"); got != "65536" {
		t.Errorf("read %s from the parameter", got)
	}
	write(t, files, "hashsize", "131072")
	text, err := os.ReadFile(filepath.Join(root, hashsizeParam))
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != "131072\n" {
		t.Errorf("the parameter holds %q", text)
	}
	if err := os.Remove(filepath.Join(root, hashsizeParam)); err != nil {
		t.Fatal(err)
	}
	_, err = files.Read(sysfs.Lookup("hashsize"))
	missing := root + "/proc/sys/net/netfilter/nf_conntrack_buckets: no such file or directory"
	wantError(t, err, "cannot read setting: open "+missing)
	err = files.Write(sysfs.Lookup("hashsize"), sysfs.Number(1))
	wantError(t, err, "cannot write 1: open "+missing)
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error (-want +got):\n%s", diff)
	}
}

func TestReaderWritesNothing(t *testing.T) {
	root := kerneltree.New(t)
	reader := closing(t, sysfs.NewReader(tree.At(root)))
	if got := read(t, reader, "max"); got != "65536" {
		t.Errorf("read %s", got)
	}
	for _, setting := range []string{"max", "hashsize"} {
		err := reader.Write(sysfs.Lookup(setting), sysfs.Number(1))
		if !sysfs.Forbidden(err) || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Write(%s): %v, want an error that is Forbidden", setting, err)
		}
		if got := kerneltree.Get(t, root, setting); got != "65536" {
			t.Errorf("%s was written: %s", setting, got)
		}
	}
}

func TestFilesCanBeUsedAfterClose(t *testing.T) {
	files := opened(t, kerneltree.New(t))
	write(t, files, "max", "7")
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, files, "max"); got != "7" {
		t.Errorf("read %s", got)
	}
}

func TestCount(t *testing.T) {
	root := kerneltree.New(t)
	files := opened(t, root)
	kerneltree.Put(t, root, "proc/sys/net/netfilter/nf_conntrack_count", "1234\n")
	if got, err := files.Count(); got != 1234 || err != nil {
		t.Errorf("Count is %d, %v", got, err)
	}
	kerneltree.Put(t, root, "proc/sys/net/netfilter/nf_conntrack_count", "\n")
	if got, err := files.Count(); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("Count of an empty file is %d, %v", got, err)
	}
	kerneltree.Unload(t, root)
	if got, err := files.Count(); !sysfs.Gone(err) {
		t.Errorf("Count without the module is %d, %v", got, err)
	}
}

func TestFilesOfSeveralGoroutines(t *testing.T) {
	files := opened(t, kerneltree.New(t))
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 50 {
				if err := files.Write(sysfs.Lookup("max"), sysfs.Number(int64(1000+i))); err != nil {
					t.Error(err)
				}
				if value, err := files.Read(sysfs.Lookup("max")); err != nil || len(value.String()) != 4 {
					t.Errorf("read %q, %v", value, err)
				}
			}
		})
	}
	group.Wait()
}

func TestForbiddenAndGone(t *testing.T) {
	tests := []struct {
		err             error
		forbidden, gone bool
	}{
		{nil, false, false},
		{syscall.EACCES, true, false},
		{syscall.EPERM, true, false},
		{syscall.EROFS, true, false},
		{syscall.EOPNOTSUPP, true, false},
		{syscall.ENOENT, false, true},
		{syscall.ENODEV, false, true},
		{syscall.EINVAL, false, false},
		{syscall.ENOMEM, false, false},
	}
	for _, test := range tests {
		err := test.err
		if err != nil {
			err = &fs.PathError{Op: "write", Path: "x", Err: err}
		}
		if got := sysfs.Forbidden(err); got != test.forbidden {
			t.Errorf("Forbidden(%v) is %t", err, got)
		}
		if got := sysfs.Gone(err); got != test.gone {
			t.Errorf("Gone(%v) is %t", err, got)
		}
	}
}

// An image that somebody hands us must not have us write to this host.
func TestTreeIsNotLeft(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(outside, []byte("precious\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	root := kerneltree.New(t)
	kerneltree.Remove(t, root, "max")
	if err := os.Symlink(outside, filepath.Join(root, sysfs.Lookup("max").File())); err != nil {
		t.Fatal(err)
	}
	files := opened(t, root)
	if value, err := files.Read(sysfs.Lookup("max")); err == nil {
		t.Errorf("read %q from outside", value)
	}
	if err := files.Write(sysfs.Lookup("max"), sysfs.Number(1234)); err == nil {
		t.Error("wrote outside")
	}
	if text, err := os.ReadFile(outside); err != nil || string(text) != "precious\n" {
		t.Errorf("outside there is %q (%v)", text, err)
	}
}

// A pipe in the place of a setting is an error, and nobody waits for its other end.
func TestPipeInTheTree(t *testing.T) {
	root := kerneltree.New(t)
	setting := sysfs.Lookup("acct")
	kerneltree.Remove(t, root, "acct")
	if err := syscall.Mkfifo(filepath.Join(root, setting.File()), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := sysfs.NewReader(tree.At(root)).Read(setting); !errors.Is(err, syscall.ESPIPE) {
		t.Errorf("reading returns %v, want %v", err, syscall.ESPIPE)
	}
	files := sysfs.NewFiles(tree.At(root))
	if err := files.Write(setting, sysfs.Number(1)); !errors.Is(err, syscall.ESPIPE) {
		t.Errorf("writing returns %v, want %v", err, syscall.ESPIPE)
	}
	if err := files.Close(); err != nil {
		t.Error(err)
	}
}

// While the module goes, a write to its parameter can panic the kernel.
func TestParameterOfAGoingModuleIsLeftAlone(t *testing.T) {
	tests := map[string]func(root string){
		"every sysctl has gone": func(root string) {
			if err := os.RemoveAll(filepath.Join(root, "proc/sys/net/netfilter")); err != nil {
				t.Fatal(err)
			}
		},
		"the module is going": func(root string) {
			kerneltree.Remove(t, root, "hashsize")
			kerneltree.Put(t, root, "sys/module/nf_conntrack/initstate", "going\n")
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			root := kerneltree.New(t)
			files := opened(t, root)
			change(root)
			if err := files.Write(sysfs.Lookup("hashsize"), sysfs.Number(131072)); !sysfs.Gone(err) {
				t.Errorf("Write: %v, want an error that is Gone", err)
			}
			if value, err := files.Read(sysfs.Lookup("hashsize")); !sysfs.Gone(err) {
				t.Errorf("Read: %q, %v, want an error that is Gone", value, err)
			}
			text, err := os.ReadFile(filepath.Join(root, hashsizeParam))
			if err != nil || string(text) != "65536\n" {
				t.Errorf("the parameter holds %q (%v), want it left alone", text, err)
			}
		})
	}
}

// A module in the kernel image has no initstate.
func TestParameterOfABuiltInModule(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.BuiltIn(t, root)
	kerneltree.Remove(t, root, "hashsize")
	files := opened(t, root)
	write(t, files, "hashsize", "131072")
	if got := read(t, files, "hashsize"); got != "131072" {
		t.Errorf("wrote 131072, read %s", got)
	}
}

// The module parameter is read only where there is no sysctl.
func TestHashsizeIsTheSysctls(t *testing.T) {
	root := kerneltree.New(t)
	if err := os.Remove(filepath.Join(root, hashsizeParam)); err != nil { // one inode with the sysctl
		t.Fatal(err)
	}
	kerneltree.Put(t, root, hashsizeParam, "512\n")
	if got := read(t, opened(t, root), "hashsize"); got != "65536" {
		t.Errorf("read %s, want the sysctl's 65536", got)
	}
}

// EPERM is the refusal of a BPF program, such as the lock of another ctkeeper. No such program guards the module
// parameter, and writing that instead would bypass the lock. An immutable file (chattr +i) answers EPERM as well.
func TestLockIsNotBypassed(t *testing.T) {
	root := kerneltree.New(t)
	buckets := filepath.Join(root, sysfs.Lookup("hashsize").File())
	// The tree's two files are one inode, as the kernel's are one variable: here they must differ.
	if err := os.Remove(filepath.Join(root, hashsizeParam)); err != nil {
		t.Fatal(err)
	}
	kerneltree.Put(t, root, hashsizeParam, "65536\n")
	setImmutable(t, buckets, true)
	defer setImmutable(t, buckets, false)
	err := opened(t, root).Write(sysfs.Lookup("hashsize"), sysfs.Number(131072))
	if !errors.Is(err, syscall.EPERM) {
		t.Errorf("Write: %v, want EPERM", err)
	}
	text, err := os.ReadFile(filepath.Join(root, hashsizeParam))
	if err != nil || string(text) == "131072\n" {
		t.Errorf("the parameter holds %q (%v), want it left alone", text, err)
	}
}

// immutable is FS_IMMUTABLE_FL of linux/fs.h.
const immutable = 0x10

// setImmutable changes the immutable flag of a file (FS_IOC_SETFLAGS, ioctl_iflags(2)).
func setImmutable(t *testing.T, path string, on bool) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	flags, err := unix.IoctlGetInt(int(file.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Skipf("this file system has no flags: %v", err)
	}
	if on {
		flags |= immutable
	} else {
		flags &^= immutable
	}
	if err := unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
		t.Skipf("this process may not set flags of files: %v", err)
	}
}

func TestReadAll(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Remove(t, root, "helper")
	values := sysfs.ReadAll(tree.At(root))
	if got := values["tcp_timeout_established"]; got != "432000" {
		t.Errorf("tcp_timeout_established = %q, want 432000", got)
	}
	if _, there := values["helper"]; there {
		t.Error("a setting that this kernel does not have")
	}
	kerneltree.Unload(t, root)
	if values := sysfs.ReadAll(tree.At(root)); len(values) > 0 {
		t.Errorf("settings of a module that is not there: %v", values)
	}
}
