package klog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// packets returns a pipe in packet mode: like /dev/kmsg, each read returns one write (pipe(2), O_DIRECT).
func packets(t *testing.T) (read, write *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_DIRECT|unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	read, write = os.NewFile(uintptr(fds[0]), kmsgDevice), os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { _ = write.Close() })
	return read, write
}

func say(t *testing.T, log *os.File, record string) {
	t.Helper()
	if _, err := io.WriteString(log, record); err != nil {
		t.Fatal(err)
	}
}

func TestFollow(t *testing.T) {
	defer goleak.VerifyNone(t)
	read, write := packets(t)
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan Message)
	ended := make(chan error)
	go func() { ended <- follow(ctx, read, func(m Message) { heard <- m }) }()
	hear := func(text string, lost int64) {
		t.Helper()
		m := <-heard
		if age := time.Since(m.At); age < -time.Second || age > time.Minute {
			t.Errorf("%q was logged %v ago", m.Text, age)
		}
		m.At = time.Time{}
		if diff := cmp.Diff(Message{Source: tree.Place{File: kmsgDevice}, Text: text, Lost: lost}, m); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
	now := since(t)
	say(t, write, fmt.Sprintf("4,7,%d,-;%s\n", now, tableFull))
	hear(tableFull, 0)
	// The record of a program has a number in the kernel's sequence, but is not reported. Text that is not a record
	// is ignored.
	say(t, write, fmt.Sprintf("30,8,%d,-;%s\n", now, tableFull))
	say(t, write, "nonsense")
	say(t, write, fmt.Sprintf("4,9,%d,-;one\n SUBSYSTEM=net\n", now))
	hear("one", 0)
	// 10 to 14 were overwritten, and 15 is from a program.
	say(t, write, fmt.Sprintf("30,15,%d,-;a program\n", now))
	say(t, write, fmt.Sprintf("4,16,%d,-;two\n", now))
	hear("two", 5)
	say(t, write, fmt.Sprintf("4,17,%d,-;three\n", now))
	hear("three", 0)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := read.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("left open: %v", err)
	}
}

// since returns the kernel's clock in microseconds.
func since(t *testing.T) int64 {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return now.Nano() / 1000
}

func TestFollowEnds(t *testing.T) {
	none := func(m Message) { t.Errorf("unexpected message %+v", m) }
	read, write := packets(t)
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := follow(t.Context(), read, none); !errors.Is(err, io.EOF) {
		t.Errorf("a log that ends: %v", err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	read, _ = packets(t)
	if err := follow(canceled, read, none); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	if err := Follow(t.Context(), tree.At(t.TempDir()), none); !errors.Is(err, errors.ErrUnsupported) ||
		err.Error() != "cannot follow the kernel's log of a tree: unsupported operation" {
		t.Errorf("a tree: %v", err)
	}
}

func TestOpenEnd(t *testing.T) {
	dir := t.TempDir()
	if _, err := openEnd(filepath.Join(dir, "kmsg")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no device: %v", err)
	}
	if _, err := openEnd("/dev/null"); !errors.Is(err, errNoLog) {
		t.Errorf("another device: %v", err)
	}
	path := filepath.Join(dir, "log")
	if err := os.WriteFile(path, []byte("4,1,2,-;old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := openEnd(path)
	if err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(file); err != nil || len(rest) > 0 {
		t.Errorf("behind the end: %q, %v", rest, err)
	}
	if err := follow(t.Context(), file, func(Message) {}); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("a file that cannot be waited for: %v", err)
	}
}

// TestFollowOnTheKernel only reads: a message that it wrote would stay in the host's log.
func TestFollowOnTheKernel(t *testing.T) {
	defer goleak.VerifyNone(t)
	file, err := openEnd(kmsgDevice)
	if err != nil {
		t.Skipf("the kernel's log may not be read here: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = Follow(ctx, tree.At(""), func(m Message) {
		if m.At.Before(start.Add(-time.Second)) {
			t.Errorf("an old message: %+v", m)
		}
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("want the deadline, got %v", err)
	}
}

func TestFullTables(t *testing.T) {
	tests := []struct {
		text                      string
		connections, expectations bool
	}{
		{"nf_conntrack: table full, dropping packet", true, false},
		{"nf_conntrack: table full, dropping packet.", true, false},
		{tableFull, true, false},
		{"nf_conntrack: nf_conntrack: table full in netns 4026531840, dropping packet", true, false},
		{"ip_conntrack: table full, dropping packet.", true, false},
		{"nf_conntrack: expectation table full", false, true},
		{"nf_conntrack: nf_conntrack: expectation table full", false, true},
		{allInUse, false, false},
		{"nf_conntrack: falling back to vmalloc.", false, false},
		{"table full, dropping packet", false, false},
		{"neighbour: arp_cache: neighbor table overflow!", false, false},
		{"my nf_conntrack: table full, dropping packet", false, false},
		{"nf_conntrack: table full", false, false},
		{"", false, false},
	}
	for _, test := range tests {
		if got := TableFull(test.text); got != test.connections {
			t.Errorf("TableFull(%q) = %v", test.text, got)
		}
		if got := ExpectationTableFull(test.text); got != test.expectations {
			t.Errorf("ExpectationTableFull(%q) = %v", test.text, got)
		}
	}
}

func FuzzSequenceOf(f *testing.F) {
	f.Add("4,1234,98765432,-;text\n")
	f.Add("4,18446744073709551615,1,-;text\n")
	f.Fuzz(func(t *testing.T, record string) {
		n, ok := sequenceOf(record)
		if int64(n) < 0 || !ok && n != 0 || ok && !strings.Contains(record, ",") {
			t.Errorf("%q: %d, %v", record, n, ok)
		}
	})
}
