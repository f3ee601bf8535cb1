package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/e2e/cgroup"
)

// The role of a process of the test program is in its environment. The first process has none.
const (
	roleVariable = "CTKEEPER_NODE_ROLE"
	supervisor   = "supervisor"
	first        = "first" // process 1 of the node
	// groupVariable has the name of the node's control group, in each hierarchy.
	groupVariable = "CTKEEPER_NODE_GROUP"
)

// Main is what TestMain calls: it runs the tests, or, in a process that Enter starts, the supervisor.
func Main(run func() int) int {
	if os.Getenv(roleVariable) != supervisor {
		return run()
	}
	status, err := supervise(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	return status
}

// supervise runs this program again as process 1 of new namespaces, and returns its exit status. It ends that process
// when standard input ends, at the latest with the process that started this one.
func supervise(args []string) (status int, err error) {
	name := fmt.Sprintf("ctkeeper-node-%d", os.Getpid())
	defer func() { err = errors.Join(err, removeGroups(name)) }()
	if err := makeGroups(name); err != nil {
		return 0, err
	}
	// Pdeathsig is about the thread that starts the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	child := exec.Command("/proc/self/exe", args...)
	child.Env = append(os.Environ(), roleVariable+"="+first, groupVariable+"="+name)
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := child.Start(); err != nil {
		return 0, err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = child.Process.Kill()
	}()
	err = child.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// hierarchies are the mounts of control groups, as Debian has them: one for each controller of cgroup v1, and beside
// them that of cgroup v2, or only that one.
func hierarchies() ([]string, error) {
	const top = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(top, "cgroup.procs")); err == nil {
		return []string{top}, nil
	}
	entries, err := os.ReadDir(top)
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, entry := range entries {
		if entry.IsDir() { // and not a link, such as cpu to cpu,cpuacct
			dirs = append(dirs, filepath.Join(top, entry.Name()))
		}
	}
	return dirs, nil
}

// isUnified reports whether the host has only cgroup v2.
func isUnified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

func makeGroups(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		group := filepath.Join(dir, name)
		if err := os.Mkdir(group, 0o755); err != nil {
			return err
		}
		// A cpuset of cgroup v1 begins without processors and memory.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || isUnified() {
				continue
			}
			if err := os.WriteFile(filepath.Join(group, file), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func removeGroups(name string) error {
	dirs, err := hierarchies()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if e := cgroup.Remove(filepath.Join(dir, name)); !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// startSupervisor starts the supervisor for the tests that match, with more of an environment. It ends when stop is
// closed.
func startSupervisor(pattern string, environment []string, out io.Writer) (child *exec.Cmd, stop io.Closer, err error) {
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool {
		return strings.HasPrefix(arg, "-test.run=") || strings.HasPrefix(arg, "-test.testlogfile=") ||
			strings.HasPrefix(arg, "-test.v") || strings.HasPrefix(arg, "-test.paniconexit0")
	})
	child = exec.Command("/proc/self/exe", append(args, "-test.v", "-test.run="+pattern)...)
	child.Env = append(append(os.Environ(), environment...), roleVariable+"="+supervisor)
	child.Stdout, child.Stderr = out, out
	// In a session of its own it gets no SIGINT from the terminal, and can clean up after the test.
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if stop, err = child.StdinPipe(); err != nil {
		return nil, nil, err
	}
	return child, stop, child.Start()
}
