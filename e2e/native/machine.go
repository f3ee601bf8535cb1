package native

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	bootTimeout  = 30 * time.Second
	stopTimeout  = 15 * time.Second
	pollInterval = 20 * time.Millisecond
	// session is the control group of the commands that Run runs: that of root's first login.
	session = "sys/fs/cgroup/user.slice/user-0.slice/session-1.scope"
)

// A Machine is a booted Debian.
type Machine struct {
	PID    int // of its systemd, in the host's pid namespace
	t      testing.TB
	boot   *exec.Cmd
	stdin  io.Closer
	stdout *os.File
}

// Boot boots a Debian of a suite, with further packages. It returns when all units have started. The machine ends with
// the test. Without root or without a tool the test is skipped, or fails with CI=true.
func Boot(t testing.TB, suite string, further ...string) *Machine {
	t.Helper()
	netns.RequireRoot(t)
	for tool, pkg := range map[string]string{"mmdebstrap": "mmdebstrap", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(tool); err != nil {
			netns.Cannot(t, "needs %s: apt-get install %s", tool, pkg)
		}
	}
	root, err := prepareRoot(suite, append(slices.Clip(packages), further...))
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{t: t}
	if err := m.start(root); err != nil {
		t.Fatalf("cannot boot %s: %v", suite, err)
	}
	t.Cleanup(m.end)
	m.waitForUnits()
	return m
}

// start starts the program boot, which ends the machine when its standard input ends: at the latest with this process.
func (m *Machine) start(root string) error {
	program, err := buildBoot()
	if err != nil {
		return err
	}
	stdout, written, err := os.Pipe()
	if err != nil {
		return err
	}
	defer written.Close()
	m.stdout = stdout
	m.boot = exec.Command(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), root)
	m.boot.Stdout, m.boot.Stderr = written, os.Stderr
	// In a session of its own boot gets no SIGINT from the terminal, and can clean up after the test.
	m.boot.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setsid: true}
	if m.stdin, err = m.boot.StdinPipe(); err != nil {
		return err
	}
	if err := m.boot.Start(); err != nil {
		return err
	}
	if _, err := fmt.Fscanln(stdout, &m.PID); err != nil {
		return errors.Join(err, m.stdin.Close(), m.boot.Wait())
	}
	return nil
}

// waitForUnits returns when systemd has started all units.
func (m *Machine) waitForUnits() {
	m.t.Helper()
	for deadline := time.Now().Add(bootTimeout); ; time.Sleep(pollInterval) {
		switch state, _ := m.Run("systemctl is-system-running"); strings.TrimSpace(state) {
		case "running":
			return
		case "degraded":
			m.t.Fatalf("units failed at boot:\n%s", m.Must("systemctl --failed --no-pager; journalctl -b --no-pager"))
		default:
			if time.Now().After(deadline) {
				m.t.Fatalf("not booted after %s: %s", bootTimeout, state)
			}
		}
	}
}

// Command returns the command line that runs a command in the machine, as a shell of root would, for other programs
// that start commands.
func (m *Machine) Command(argv ...string) []string {
	target := []string{"nsenter", "--target", strconv.Itoa(m.PID), "--mount", "--uts", "--ipc", "--net", "--pid",
		"--cgroup", "env", "-i", "--chdir=/root", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", "SYSTEMD_PAGER=", "NO_COLOR=1"}
	return append(target, argv...)
}

// Run runs a shell command in the machine, as a login of root. It returns the command's output and exit status.
func (m *Machine) Run(command string) (output string, status int) {
	m.t.Helper()
	return m.run("", command)
}

func (m *Machine) run(input, command string) (output string, status int) {
	m.t.Helper()
	group := fmt.Sprintf("/proc/%d/root/%s", m.PID, session)
	if err := os.MkdirAll(group, 0o755); err != nil {
		m.t.Fatalf("the machine has ended: %v", err)
	}
	directory, err := os.Open(group)
	if err != nil {
		m.t.Fatal(err)
	}
	defer directory.Close()
	argv := m.Command("sh", "-c", command)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(directory.Fd())}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.t.Fatalf("cannot run %s: %v", command, err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// Must is Run for a command whose failure is the test's.
func (m *Machine) Must(command string) (output string) {
	m.t.Helper()
	return m.must("", command)
}

func (m *Machine) must(input, command string) string {
	m.t.Helper()
	output, status := m.run(input, command)
	if status != 0 {
		m.t.Fatalf("%s: exit status %d\n%s", command, status, output)
	}
	return output
}

// WaitFor runs a command until it succeeds, at most for a time. It returns the last output.
func (m *Machine) WaitFor(atMost time.Duration, command string) (output string) {
	m.t.Helper()
	for deadline := time.Now().Add(atMost); ; time.Sleep(pollInterval) {
		output, status := m.Run(command)
		if status == 0 {
			return output
		}
		if time.Now().After(deadline) {
			m.t.Fatalf("%s: exit status %d after %s\n%s", command, status, atMost, output)
		}
	}
}

// Read returns the content of a file in the machine.
func (m *Machine) Read(file string) string {
	m.t.Helper()
	return m.Must("cat " + shell.Quote(file))
}

// Write writes a file in the machine, with the directories above it. A program in the machine writes it, and not this
// process: below /proc/sys/net this process would write the host's settings.
func (m *Machine) Write(file, content string) {
	m.t.Helper()
	m.must(content, "mkdir -p "+shell.Quote(path.Dir(file))+" && cat >"+shell.Quote(file))
}

// Copy copies a directory of the host into the machine. The target must not be below /proc.
func (m *Machine) Copy(from, to string) {
	m.t.Helper()
	if err := os.CopyFS(fmt.Sprintf("/proc/%d/root%s", m.PID, to), os.DirFS(from)); err != nil {
		m.t.Fatal(err)
	}
}

// Journal returns what journalctl prints with these arguments.
func (m *Machine) Journal(arguments string) string {
	m.t.Helper()
	return m.Must("journalctl --no-pager " + arguments)
}

// Poweroff shuts the machine down, with all that a shutdown does.
func (m *Machine) Poweroff() {
	m.t.Helper()
	_, _ = m.Run("systemctl poweroff") // killed with the machine, or not
	if err := m.stdout.SetReadDeadline(time.Now().Add(stopTimeout)); err != nil {
		m.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, m.stdout); err != nil {
		m.t.Errorf("the machine is not off after %s: %v", stopTimeout, err)
	}
}

// end ends the machine at once, if it still runs, and removes what it had on the host.
func (m *Machine) end() {
	if err := errors.Join(m.stdin.Close(), m.boot.Wait()); err != nil {
		m.t.Errorf("cannot clean up after the machine: %v", err)
	}
	m.stdout.Close()
}
