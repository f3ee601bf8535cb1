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
	// runTimeout and maxOutput bound a program.
	runTimeout = 5 * time.Second
	maxOutput  = 16 << 20
	// maxSaid is how much of an error message is repeated.
	maxSaid = 1 << 10
)

var errOutput = errors.New("it prints more than 16 MiB")

// run gives what a program prints. Neither it nor what it starts can load a kernel
// module: libxtables runs modprobe(8) where it misses one.
func run(ctx context.Context, program string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	out := &bounded{limit: maxOutput, whole: true}
	said := &bounded{limit: maxSaid}
	command := exec.CommandContext(ctx, program, args...)
	command.Env = append(os.Environ(), "LC_ALL=C")
	command.Stdout, command.Stderr = out, said
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
	if text := strings.TrimSpace(said.buffer.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return nil, fmt.Errorf("cannot run %s: %w", filepath.Base(program), err)
}

// withoutModules calls start on a thread of its own that has given up the right to
// load modules, and with it whatever start forks. The thread ends with it, as it
// is never unlocked.
func withoutModules(start func() error) error {
	var thread errgroup.Group
	thread.Go(func() error {
		runtime.LockOSThread()
		if err := dropModuleRight(); err != nil {
			return fmt.Errorf("cannot give up CAP_SYS_MODULE: %w", err)
		}
		return start()
	})
	return thread.Wait()
}

// dropModuleRight takes CAP_SYS_MODULE from what this thread's children can have
// (capabilities(7)): from the bounding set, and from the ambient set, which that
// does not bound.
func dropModuleRight() error {
	// EINVAL before 4.3, which has no ambient set.
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_LOWER, unix.CAP_SYS_MODULE, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	// It cannot be given up twice, and the right to give it up may be gone as well: that
	// is a container's lot.
	has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_MODULE, 0, 0, 0)
	if err != nil || has == 0 {
		return err
	}
	err = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_MODULE, 0, 0, 0)
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return nil // without CAP_SETPCAP: only root's children get back what is in the set
	}
	return err
}

// bounded keeps what is written to it up to a limit: what is longer it cuts off,
// or refuses where it is of use only as a whole.
type bounded struct {
	// It is not embedded: os/exec would find its ReadFrom and pass Write by.
	buffer bytes.Buffer
	limit  int
	whole  bool
	over   bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := max(0, b.limit-b.buffer.Len())
	if len(p) > room {
		b.over = true
		if b.whole {
			return 0, errOutput
		}
	}
	_, _ = b.buffer.Write(p[:min(len(p), room)]) // a Buffer takes all
	return len(p), nil
}

// find looks for a program in PATH, and where administrators' programs are if PATH
// is a user's, which does not lead there.
func find(name string) (string, error) {
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
