package firewall

import (
	"bytes"
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
)

const (
	// runTimeout and maxOutput limit what a program may take and print.
	runTimeout = 5 * time.Second
	maxOutput  = 16 << 20
	// maxMessage limits how much of standard error is put in an error.
	maxMessage = 1 << 10
)

var errOutput = errors.New("it prints more than 16 MiB")

// run returns the standard output of a program. Neither the program nor its children can load a
// kernel module: libxtables runs modprobe(8) for one that it misses.
func run(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	out := &bounded{limit: maxOutput, whole: true}
	message := &bounded{limit: maxMessage}
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	command.Stdout, command.Stderr = out, message
	command.WaitDelay = time.Second
	err := withoutModules(command.Run)
	switch {
	case err == nil:
		return out.buffer.Bytes(), nil
	case out.over:
		err = errOutput
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	if text := strings.TrimSpace(message.buffer.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return nil, fmt.Errorf("cannot run %s: %w", filepath.Base(program), err)
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

// bounded buffers at most limit bytes. It discards what comes after them, or, where only the whole
// is of use, fails.
type bounded struct {
	// It is not embedded: os/exec would call its ReadFrom in place of Write.
	buffer bytes.Buffer
	limit  int
	whole  bool
	over   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	free := max(0, b.limit-b.buffer.Len())
	if len(p) > free {
		b.over = true
		if b.whole {
			return 0, errOutput
		}
	}
	_, _ = b.buffer.Write(p[:min(len(p), free)]) // a Buffer never fails
	return len(p), nil
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
