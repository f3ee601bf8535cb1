package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// A daemon whose log blocks, because nobody reads its standard error, ends all the same: within its
// bound, and at once at a second signal.
func TestSignals(t *testing.T) {
	path := binary(t)
	for name, test := range map[string]struct {
		signals, status int
		atMost          time.Duration
	}{
		"one": {1, 0, 4 * time.Second},
		"two": {2, 128 + int(syscall.SIGTERM), time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			root := host(t, drifting)
			run := exec.Command(path, "run", "--root", root, "--log-format", "console")
			run.Stderr = fullPipe(t)
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "max is repaired", func() bool { return kerneltree.Get(t, root, "max") == "1048576" })
			time.Sleep(100 * time.Millisecond) // for the log to block
			began := time.Now()
			for range test.signals {
				if err := run.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				time.Sleep(200 * time.Millisecond) // equal signals that wait are one
			}
			_ = run.Wait() // the status says it
			if took := time.Since(began); run.ProcessState.ExitCode() != test.status || took > test.atMost {
				t.Errorf("%v after %v, want status %d within %v", run.ProcessState, took, test.status, test.atMost)
			}
		})
	}
}

// A daemon goes on when who reads its log has gone.
func TestLogReaderGoes(t *testing.T) {
	root := host(t, drifting)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	run := exec.Command(binary(t), "run", "--root", root, "--log-format", "console")
	run.Stderr = writer
	if err := errors.Join(run.Start(), reader.Close(), writer.Close()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = run.Wait() }()
	defer func() { _ = run.Process.Kill() }() // it may have ended
	eventually(t, "max is repaired", func() bool { return kerneltree.Get(t, root, "max") == "1048576" })
	for _, value := range []string{"1000", "1001"} { // the first entry may be written after the repair
		time.Sleep(100 * time.Millisecond)
		kerneltree.Set(t, root, "max", value)
		eventually(t, "max is repaired again", func() bool { return kerneltree.Get(t, root, "max") == "1048576" })
	}
}

// A start that lacks file descriptors does not end with the status after which systemd does not try again: the
// configuration is not wrong.
func TestStartWithoutDescriptors(t *testing.T) {
	root, path := host(t, drifting), binary(t)
	for limit := 5; limit < 10; limit++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		run := exec.CommandContext(ctx, "sh", "-c", `ulimit -n "$1" && shift && exec "$@"`, "sh", strconv.Itoa(limit),
			path, "run", "--root", root, "--log-format", "console")
		out, err := run.CombinedOutput()
		cancel()
		if err == nil || run.ProcessState.ExitCode() == exitConfig {
			t.Errorf("%d descriptors: %v\n%s", limit, run.ProcessState, out)
		}
	}
}

// fullPipe returns the end of a full pipe that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = reader.Close(), writer.Close() })
	if err := writer.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = writer.Write(make([]byte, 4096))
	}
	return writer
}
