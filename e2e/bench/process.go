package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// readyTimeout is how long a start may take.
const readyTimeout = 20 * time.Second

// A process is a measured program.
type process struct {
	cmd     *exec.Cmd
	toReady time.Duration
}

// startDaemon starts the daemon and waits until it sends READY=1 (sd_notify(3)).
func (b *bench) startDaemon(config string) (*process, error) {
	path := filepath.Join(b.dir, "notify")
	_ = os.Remove(path)
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer socket.Close()
	cmd := exec.Command(b.ctkeeper, "run", "--config", config)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+path, "RUNTIME_DIRECTORY="+filepath.Join(b.dir, "ctkeeper"))
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	buf := make([]byte, 4096)
	for {
		if err := socket.SetReadDeadline(start.Add(readyTimeout)); err != nil {
			return nil, err
		}
		n, err := socket.Read(buf)
		if err != nil {
			text, _ := os.ReadFile(log.Name())
			return nil, errors.Join(fmt.Errorf("not ready: %w\n%s", err, text), p.kill())
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			p.toReady = time.Since(start)
			return p, nil
		}
	}
}

// startBare starts the minimal C program for the same settings.
func (b *bench) startBare(wants map[string]string) (*process, error) {
	args := []string{sysctlDir}
	for name, value := range wants {
		args = append(args, "nf_conntrack_"+name+"="+value)
	}
	p := &process{cmd: exec.Command(b.bare, args...)}
	p.cmd.Stderr = os.Stderr
	return p, p.cmd.Start()
}

func (p *process) pause() error  { return p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

func (p *process) kill() error {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return nil
}

// stop sends the daemon SIGTERM, as systemd does, and waits for its end.
func (p *process) stop() error {
	_ = p.resume()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}
