package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// readyTimeout is how long a start may take.
	readyTimeout = 20 * time.Second
	// settleTime is how long a started program gets until it is measured.
	settleTime = 500 * time.Millisecond
)

// A process is a measured program.
type process struct {
	name    string
	cmd     *exec.Cmd
	toReady time.Duration
}

// A daemon is how to start ctkeeper.
type daemon struct {
	name  string            // of its directory, which one at a time can use
	wants map[string]string // settings
	rest  string            // of the configuration
	own   bool              // in a network namespace of its own
}

// ownNetwork makes a program start in a network namespace of its own if own is true.
func ownNetwork(own bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if own {
		attr.Unshareflags = syscall.CLONE_NEWNET
	}
	return attr
}

// start starts ctkeeper and waits until it sends READY=1 (sd_notify(3)).
func (b *bench) start(d daemon) (*process, error) {
	dir := filepath.Join(b.dir, d.name)
	config, err := configure(dir, d.wants, d.rest)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "notify")
	_ = os.Remove(path)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(b.ctkeeper, "run", "--config", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, "RUNTIME_DIRECTORY="+filepath.Join(dir, "run/ctkeeper"),
		"STATE_DIRECTORY="+stateDir(dir))
	cmd.Stderr = log
	cmd.SysProcAttr = ownNetwork(d.own)
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{name: "ctkeeper", cmd: cmd}
	buf := make([]byte, 4096)
	for {
		if err := socket.SetReadDeadline(begin.Add(readyTimeout)); err != nil {
			return nil, err
		}
		n, err := socket.Read(buf)
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			return nil, errors.Join(fmt.Errorf("ctkeeper is not ready: %w\n%s", err, text), p.kill())
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			p.toReady = time.Since(begin)
			return p, nil
		}
	}
}

func stateDir(dir string) string { return filepath.Join(dir, "state/ctkeeper") }

// configure writes a configuration below dir and returns its path. It has a directory of its own there: the daemon
// watches it, and changes of the log and the socket would wake it.
func configure(dir string, wants map[string]string, rest string) (string, error) {
	var text strings.Builder
	text.WriteString("settings:\n")
	for name, value := range wants {
		fmt.Fprintf(&text, "  %s: %s\n", name, value)
	}
	for _, sub := range []string{"etc", "run/ctkeeper", "state/ctkeeper"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, "etc", "ctkeeper.yaml")
	return path, os.WriteFile(path, []byte(text.String()+rest), 0o644)
}

// startOther starts another program in a network namespace of its own.
func startOther(name, program string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = ownNetwork(true)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	time.Sleep(settleTime)
	return p, nil
}

// startBare starts the minimal C program.
func (b *bench) startBare(wants map[string]string) (*process, error) {
	return startOther("bare C", filepath.Join(b.helpers, "bare"), append([]string{sysctlDir},
		assignments(wants, "nf_conntrack_")...)...)
}

func (p *process) kill() error {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return nil
}

// stop sends the daemon SIGTERM, as systemd does, and waits for its end.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// pin lets all threads of a process run on these processors only, and threads that they start.
func (p *process) pin(processors []int) error {
	var set unix.CPUSet
	for _, processor := range processors {
		set.Set(processor)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
	for _, task := range tasks {
		tid, _ := strconv.Atoi(filepath.Base(task))
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("cannot pin %s: %w", p.name, err)
		}
	}
	return err
}
