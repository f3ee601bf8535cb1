package sysfs_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// These tests run on this machine's kernel, in namespaces of their own.

func needConntrack(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err != nil {
		netns.Cannot(t, "this kernel has no nf_conntrack, or it is not loaded: %v", err)
	}
}

func TestKernelTakesATimeout(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needConntrack(t)
	files := opened(t, "")
	for _, value := range []string{"4321", "7"} {
		write(t, files, "tcp_timeout_established", value)
		if got := read(t, files, "tcp_timeout_established"); got != value {
			t.Errorf("wrote %s, the kernel shows %s", value, got)
		}
	}
	err := files.Write(sysfs.Lookup("tcp_loose"), sysfs.TextValue("x"))
	wantError(t, err, "cannot write x: write /proc/sys/net/netfilter/nf_conntrack_tcp_loose: invalid argument")
	if sysfs.Forbidden(err) || sysfs.Gone(err) {
		t.Errorf("%v is taken for a want of rights, or of a file", err)
	}
	if n, err := files.Count(); n != 0 || err != nil {
		t.Errorf("a new namespace holds %d connections, %v", n, err)
	}
}

func TestKernelRefusesGlobalsInAChildNamespace(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needConntrack(t)
	files := opened(t, "/")
	for _, s := range sysfs.Catalogue() {
		before, err := files.Read(s)
		if sysfs.Gone(err) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		// The value that is there already, so that a mistake in the catalogue
		// changes nothing.
		err = files.Write(s, before)
		if got := sysfs.Forbidden(err); got != s.Global {
			t.Errorf("%s: Global is %t, and writing it here returns %v", s.Name, s.Global, err)
		}
		if s.Global && !errors.Is(err, syscall.EACCES) {
			t.Errorf("%s: %v, want %v", s.Name, err, syscall.EACCES)
		}
		if s.Name == "hashsize" && !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Errorf("%s: %v, want also the module parameter's %v", s.Name, err, syscall.EOPNOTSUPP)
		}
		if s.Global && !strings.Contains(files.Remedy(s, err), "initial network namespace") {
			t.Errorf("%s: the remedy is %q", s.Name, files.Remedy(s, err))
		}
	}
}

func TestKernelWithReadOnlyProcSys(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needConntrack(t)
	files := opened(t, "")
	before := read(t, files, "udp_timeout")
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	readOnly(t, "/proc/sys")
	err := files.Write(sysfs.Lookup("udp_timeout"), sysfs.Number(77))
	if !sysfs.Forbidden(err) || !errors.Is(err, syscall.EROFS) {
		t.Errorf("Write: %v, want %v", err, syscall.EROFS)
	}
	if got := files.Remedy(sysfs.Lookup("udp_timeout"), err); !strings.Contains(got, "read-only") {
		t.Errorf("the remedy is %q", got)
	}
	if got := read(t, files, "udp_timeout"); got != before {
		t.Errorf("udp_timeout was %s and is %s", before, got)
	}
}

// readOnly mounts dir over itself, in this process's mount namespace alone.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	for _, step := range []error{
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount(dir, dir, "", unix.MS_BIND|unix.MS_REC, ""),
		unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
}

func TestRemedyWithoutCapability(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/nf_conntrack_max"); err != nil {
		t.Skip("this is not the initial network namespace, or nf_conntrack is not loaded")
	}
	if got := opened(t, "").Remedy(sysfs.Lookup("max"), syscall.EACCES); !strings.Contains(got, "CAP_NET_ADMIN") {
		t.Errorf("the remedy is %q", got)
	}
	if got := opened(t, "").Remedy(sysfs.Lookup("max"), syscall.EPERM); !strings.Contains(got, "guard: lock") {
		t.Errorf("the way out of another's lock is %q", got)
	}
}

// A device's sysctls are taken away and brought back by the same kernel
// functions as a module's, and a namespace of one's own has devices to spare:
// the descriptor that Files keeps dies for real.
func TestKernelFileThatDiedIsOpenedAgain(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	setting := sysfs.DeviceSetting("ctk0")
	bridge(t, unix.SIOCBRADDBR, "ctk0")
	files := opened(t, "")
	for _, value := range []string{"1", "0"} {
		if err := files.Write(setting, setting.Parse(value)); err != nil {
			t.Fatal(err)
		}
	}
	bridge(t, unix.SIOCBRDELBR, "ctk0")
	bridge(t, unix.SIOCBRADDBR, "ctk0")
	if value, err := files.Read(setting); value != sysfs.Number(0) || err != nil {
		t.Errorf("reading with another device of that name: %q, %v, want 0", value, err)
	}
	bridge(t, unix.SIOCBRDELBR, "ctk0")
	if value, err := files.Read(setting); !sysfs.Gone(err) {
		t.Errorf("without the device: %q, %v, want an error that is Gone", value, err)
	}
	for _, value := range []string{"1", "0"} {
		bridge(t, unix.SIOCBRADDBR, "ctk0")
		// The first descriptor is dead or closed, the second is dead for sure.
		if err := files.Write(setting, setting.Parse(value)); err != nil {
			t.Errorf("writing with the device back: %v", err)
		}
		if got, err := files.Read(setting); got.String() != value || err != nil {
			t.Errorf("reading with the device back: %q, %v, want %s", got, err, value)
		}
		bridge(t, unix.SIOCBRDELBR, "ctk0")
	}
	if err := files.Write(setting, sysfs.Number(1)); !sysfs.Gone(err) {
		t.Errorf("writing without the device: %v, want an error that is Gone", err)
	}
}

// bridge adds or deletes a bridge in this process's network namespace.
func bridge(t *testing.T, request uintptr, name string) {
	t.Helper()
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(socket) }()
	text, err := unix.BytePtrFromString(name)
	if err != nil {
		t.Fatal(err)
	}
	switch err := ioctl(socket, request, text); {
	case errors.Is(err, unix.ENOPKG), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		netns.Cannot(t, "this kernel has no bridges: %v", err)
	case err != nil:
		t.Fatal(err)
	}
}
