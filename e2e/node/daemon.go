package node

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	logDir       = "/run/node/log"
	pollInterval = 50 * time.Millisecond
	// commandTimeout is longer than those that the commands are given.
	commandTimeout = 2 * time.Minute
)

// A daemon is a program of the node that runs in the background, with its output in a file.
type daemon struct {
	name string
	argv []string
	env  []string
	cmd  *exec.Cmd
}

// start starts the program, also again after it has ended.
func (d *daemon) start() error {
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(d.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	d.cmd = exec.Command(d.argv[0], d.argv[1:]...)
	d.cmd.Env = append(os.Environ(), d.env...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		return fmt.Errorf("cannot start %s: %w", d.name, err)
	}
	return nil
}

// end sends a signal to the program and waits until it has ended.
func (d *daemon) end(signal syscall.Signal) error {
	if err := d.cmd.Process.Signal(signal); err != nil {
		return err
	}
	_ = d.cmd.Wait() // an error is the signal's
	return nil
}

func (d *daemon) log() string { return filepath.Join(logDir, d.name) }

// tail returns the last n lines of the log.
func (d *daemon) tail(n int) string {
	content, err := os.ReadFile(d.log())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Eventually calls check until it returns no error, and fails the test if that takes too long.
func Eventually(t testing.TB, atMost time.Duration, what string, check func() error) {
	t.Helper()
	begin := time.Now()
	for {
		err := check()
		if err == nil {
			t.Logf("%s after %.1f s", what, time.Since(begin).Seconds())
			return
		}
		if time.Since(begin) > atMost {
			t.Fatalf("not within %s: %s: %v", atMost, what, err)
		}
		time.Sleep(pollInterval)
	}
}

// command runs a program, at most for commandTimeout. It returns its output, and as error its standard error.
func command(input string, env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), env...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s%s", strings.Join(argv, " "), err, errs.String(), out.String())
	}
	return out.String(), nil
}
