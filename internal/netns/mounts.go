package netns

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Mounts mounts what a pod of ctkeeper has of its node below a directory, and returns that: /proc/sys/net at
// DIR/proc/sys/net, and /sys/module at DIR/sys/module. As in a container /proc/sys is then read-only. It is for tests
// that Enter has put into namespaces of their own.
func Mounts(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	mount := func(source, target string, flags uintptr) {
		t.Helper()
		if err := syscall.Mount(source, target, "", flags, ""); err != nil {
			t.Fatalf("cannot mount %s at %s: %v", source, target, err)
		}
	}
	mount("", "/", syscall.MS_REC|syscall.MS_PRIVATE) // nothing reaches the mounts of this machine
	for _, part := range []string{"/proc/sys/net", "/sys/module"} {
		target := filepath.Join(dir, part)
		if err := os.MkdirAll(target, 0o755); err != nil {
			t.Fatal(err)
		}
		mount(part, target, syscall.MS_BIND)
		t.Cleanup(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) })
	}
	mount("/proc/sys", "/proc/sys", syscall.MS_BIND)
	mount("", "/proc/sys", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY)
	return dir
}
