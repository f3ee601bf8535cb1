package firewall

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/command"
)

// limits limit what a program may take and print.
var limits = command.Limits{Timeout: 5 * time.Second, Output: 16 << 20}

// run returns the standard output of a program. Neither the program nor its children can load a
// kernel module: libxtables runs modprobe(8) for one that it misses.
func run(ctx context.Context, program string, args ...string) ([]byte, error) {
	var out []byte
	err := withoutModules(func() (err error) {
		out, err = command.Output(ctx, limits, program, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot run %s: %w", filepath.Base(program), err)
	}
	return out, nil
}

// withoutModules calls start on a thread of its own, after it has dropped CAP_SYS_MODULE from what
// the thread's children can have. The thread ends with start, because it is never unlocked.
func withoutModules(start func() error) error {
	var thread errgroup.Group
	thread.Go(func() error {
		runtime.LockOSThread()
		if err := dropModuleCapability(); err != nil {
			return fmt.Errorf("cannot drop CAP_SYS_MODULE: %w", err)
		}
		return start()
	})
	return thread.Wait()
}

// dropModuleCapability drops CAP_SYS_MODULE from what this thread's children can have
// (capabilities(7)): from the bounding set, and from the ambient set, which the bounding set does
// not limit.
func dropModuleCapability() error {
	// EINVAL before Linux 4.3, which has no ambient set.
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_SYS_MODULE, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	// A capability cannot be dropped twice, and in a container CAP_SETPCAP, which dropping needs,
	// may be missing as well.
	has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_MODULE, 0, 0, 0)
	if err != nil || has == 0 {
		return err
	}
	err = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_MODULE, 0, 0, 0)
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return nil // without CAP_SETPCAP; only root's children regain what is in the set
	}
	return err
}

// findProgram looks for a program in PATH, and in /usr/sbin and /sbin if PATH is a user's, which
// names neither.
func findProgram(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || strings.Contains(os.Getenv("PATH"), "sbin") {
		return path, err
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", err
}
