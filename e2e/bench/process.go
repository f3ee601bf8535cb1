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

// readyTime bounds a start.
const readyTime = 20 * time.Second

// A process is a program under measurement.
type process struct {
	cmd     *exec.Cmd
	toReady time.Duration
}

// keeper starts the daemon and waits until it says READY, as systemd would hear
// it (sd_notify(3)).
func (b *bench) keeper(config string) (*process, error) {
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
		if err := socket.SetReadDeadline(start.Add(readyTime)); err != nil {
			return nil, err
		}
		n, err := socket.Read(buf)
		if err != nil {
			said, _ := os.ReadFile(log.Name())
			return nil, errors.Join(fmt.Errorf("not ready: %w\n%s", err, said), p.kill())
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			p.toReady = time.Since(start)
			return p, nil
		}
	}
}

// bareKeeper starts the C program for the same settings.
func (b *bench) bareKeeper(wants map[string]string) (*process, error) {
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

// stop ends the daemon as systemd would, and waits.
func (p *process) stop() error {
	_ = p.resume()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return p.cmd.Wait()
}
