package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// A mount is one of those that systemd expects to find in a container (systemd.io/CONTAINER_INTERFACE). Its target is
// below the root.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

const (
	safe = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	// readOnly makes a bind mount read-only: the flag counts only when it is mounted again (mount(2)).
	readOnly = unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY
)

// mounts are in their order. /proc/sys/net, which is that of the network namespace, is bound before /proc/sys becomes
// read-only, and stays writable. A procfs shows the network namespace of the process that reads it.
var mounts = []mount{
	{"proc", "proc", "proc", safe, ""},
	{"proc/sys/net", "mnt", "", unix.MS_BIND, ""},
	{"proc/sys", "proc/sys", "", unix.MS_BIND, ""},
	{"", "proc/sys", "", readOnly, ""},
	{"mnt", "proc/sys/net", "", unix.MS_MOVE, ""},
	{"sysfs", "sys", "sysfs", safe | unix.MS_RDONLY, ""},
	{"cgroup2", "sys/fs/cgroup", "cgroup2", safe, ""},
	{"tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=755"},
	{"tmpfs", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"tmpfs", "tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
}

var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// dropped are the capabilities by which a root in the machine could change the host's kernel.
var dropped = []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TIME}

// becomeInit makes root the root of this process, and executes the systemd in it. The process is the first one of a
// pid namespace.
func becomeInit(root string) error {
	// Namespaces and capabilities are a thread's.
	runtime.LockOSThread()
	unix.CloseOnExec(report)
	// Here, and not when the process started: the group that it started in is to be the root of the namespace.
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cannot make a cgroup namespace: %w", err)
	}
	if err := unix.Sethostname([]byte("debian")); err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
	}
	if err := makeDevices(); err != nil {
		return err
	}
	// Not every kernel has it.
	if err := unix.Mount("dev/null", "proc/sysrq-trigger", "", unix.MS_BIND, ""); err != nil && err != unix.ENOENT {
		return fmt.Errorf("cannot cover /proc/sysrq-trigger: %w", err)
	}
	// pivot_root(2): "." twice puts the old root over the new one.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	for _, capability := range dropped {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil {
			return err
		}
	}
	environment := []string{"container=ctkeeper-native", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return unix.Exec("/lib/systemd/systemd", []string{"/lib/systemd/systemd", "--system"}, environment)
}

// makeDevices fills /dev with devices of the host.
func makeDevices() error {
	for _, name := range devices {
		file := filepath.Join("dev", name)
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Mount("/dev/"+name, file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot bind /dev/%s: %w", name, err)
		}
	}
	for _, m := range []mount{
		{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620"},
		{"tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	} {
		if err := os.Mkdir(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
	}
	return os.Symlink("pts/ptmx", "dev/ptmx")
}
