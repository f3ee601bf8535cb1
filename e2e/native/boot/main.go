package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/e2e/cgroup"
)

// initArgument is the first argument of the process that becomes the machine's process 1.
const initArgument = "init"

// report is the descriptor on which that process reports its error to startInit. It is closed when systemd is executed.
const report = 3

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == initArgument:
		err := becomeInit(args[1])
		_, _ = unix.Write(report, []byte(err.Error()))
		return nil
	case len(args) == 1:
		return supervise(args[0])
	}
	return errors.New("usage: boot ROOT")
}

// supervise starts the machine, waits until it ends, and removes its control groups. Its mounts end with the mount
// namespaces that they are in.
func supervise(lower string) (err error) {
	work, err := os.MkdirTemp("", "ctkeeper-native-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Unmount(work, unix.MNT_DETACH), os.Remove(work)) }()
	root, err := mountRoot(lower, work)
	if err != nil {
		return err
	}
	group, err := makeGroup(filepath.Base(work), work)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cgroup.Remove(group)) }()
	directory, err := os.Open(group)
	if err != nil {
		return err
	}
	defer directory.Close()
	cmd, err := startInit(root, int(directory.Fd()))
	if err != nil {
		return err
	}
	fmt.Println(cmd.Process.Pid)
	var waits errgroup.Group
	waits.Go(func() error {
		_, err := io.Copy(io.Discard, os.Stdin)
		// With process 1 the kernel ends all processes of its namespace (pid_namespaces(7)).
		return errors.Join(err, ignoreDone(cmd.Process.Kill()))
	})
	// A process 1 that powers off ends by a signal (reboot(2)).
	_ = cmd.Wait()
	_ = os.Stdout.Close()
	return waits.Wait()
}

// startInit starts the machine's process 1. It returns when that has executed systemd, or has ended.
func startInit(root string, group int) (*exec.Cmd, error) {
	executed, inherited, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer executed.Close()
	cmd := exec.Command("/proc/self/exe", initArgument, root)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.ExtraFiles = []*os.File{inherited}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL, UseCgroupFD: true, CgroupFD: group,
	}
	if err := errors.Join(cmd.Start(), inherited.Close()); err != nil {
		return nil, err
	}
	failure, err := io.ReadAll(executed)
	if err != nil {
		return nil, err
	}
	if len(failure) > 0 {
		return nil, errors.Join(errors.New(string(failure)), cmd.Wait())
	}
	return cmd, nil
}

func ignoreDone(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// mountRoot mounts a file system in memory on work, and in it the root: lower with an empty layer above it.
func mountRoot(lower, work string) (string, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("cannot make mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", work, "tmpfs", 0, "mode=755"); err != nil {
		return "", fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	root, upper, scratch := filepath.Join(work, "root"), filepath.Join(work, "upper"), filepath.Join(work, "work")
	for _, dir := range []string{root, upper, scratch} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return "", err
		}
	}
	layers := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + scratch
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return "", fmt.Errorf("cannot mount an overlay of %s: %w", lower, err)
	}
	return root, nil
}

// makeGroup makes a control group in the unified hierarchy, below the one of this process. It mounts that hierarchy in
// work if it is not mounted anywhere.
func makeGroup(name, work string) (string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup2"))
	if err != nil {
		return "", err
	}
	base := filepath.Join(work, "cgroup")
	if len(mounts) > 0 {
		base = mounts[0].Mountpoint
	} else {
		if err := os.Mkdir(base, 0o755); err != nil {
			return "", err
		}
		if err := unix.Mount("cgroup2", base, "cgroup2", 0, ""); err != nil {
			return "", fmt.Errorf("cannot mount cgroup v2: %w", err)
		}
	}
	group := filepath.Join(base, name)
	return group, os.Mkdir(group, 0o755)
}
