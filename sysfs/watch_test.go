package sysfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// patience is how long a test waits for an event before it fails. A passing test never waits that long.
const patience = 10 * time.Second

// listen watches root until the test ends. It returns a channel that has one value for each report of the
// watcher: whether the report was an overflow.
func listen(t *testing.T, root string) (*sysfs.Watcher, <-chan bool) {
	t.Helper()
	w, err := sysfs.NewWatcher(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	return w, run(t, w)
}

func run(t *testing.T, w *sysfs.Watcher) <-chan bool {
	t.Helper()
	heard, ended := make(chan bool, 1<<16), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- w.Run(ctx, func(write sysfs.Write) { heard <- write.Overflow }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return heard
}

func hear(t *testing.T, heard <-chan bool) (overflow bool) {
	t.Helper()
	select {
	case overflow = <-heard:
	case <-time.After(patience):
		t.Fatal("the write was not heard")
	}
	return overflow
}

func TestWatcherHearsWrites(t *testing.T) {
	root := kerneltree.New(t)
	_, heard := listen(t, filepath.Dir(root)+"/./"+filepath.Base(root)+"/")
	files := []string{
		"proc/sys/net/netfilter/nf_conntrack_max",
		"proc/sys/net/netfilter/nf_conntrack_udp_timeout",
		"proc/sys/net/nf_conntrack_max", // the alias
		hashsizeParam,
	}
	for _, name := range files {
		overwrite(t, filepath.Join(root, name), "12345")
		if hear(t, heard) {
			t.Errorf("a write to %s is called an overflow", name)
		}
	}
	if len(heard) > 0 {
		t.Errorf("%d writes more were heard than made", len(heard))
	}
}

// overwrite writes in one write(2), as the kernel's files take it.
func overwrite(t *testing.T, path, value string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(value + "\n")
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// Events come in order: had the reading or the other files been heard, they
// would have been heard before the write that follows.
func TestWatcherHearsNothingElse(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "proc/sys/net/other", "1\n")
	_, heard := listen(t, root)
	files := opened(t, root)
	for range 3 {
		read(t, files, "max")
	}
	overwrite(t, filepath.Join(root, "proc/sys/net/other"), "2")
	kerneltree.Remove(t, root, "acct")
	overwrite(t, filepath.Join(root, "proc/sys/net/netfilter/nf_conntrack_max"), "70000")
	hear(t, heard)
	overwrite(t, filepath.Join(root, "proc/sys/net/netfilter/nf_conntrack_checksum"), "1")
	hear(t, heard)
	if len(heard) > 0 {
		t.Errorf("%d events were reported that are not writes", len(heard))
	}
}

// A watch dies with the module's directory and says nothing.
func TestWatcherArmedAfterReloads(t *testing.T) {
	root := kerneltree.New(t)
	w, heard := listen(t, root)
	for i := range 5 {
		if err := os.RemoveAll(filepath.Join(root, "sys/module")); err != nil {
			t.Fatal(err)
		}
		if err := w.Arm(); err != nil {
			t.Fatalf("without the module: %v", err)
		}
		kerneltree.Put(t, root, hashsizeParam, "65536\n") // nobody watches
		if err := w.Arm(); err != nil {
			t.Fatal(err)
		}
		overwrite(t, filepath.Join(root, hashsizeParam), strconv.Itoa(70000+i))
		hear(t, heard)
		if len(heard) > 0 {
			t.Fatalf("%d events more than one write", len(heard))
		}
	}
}

func TestWatcherWithoutAnything(t *testing.T) {
	root := t.TempDir()
	w, heard := listen(t, root)
	kerneltree.Load(t, root)
	if err := w.Arm(); err != nil {
		t.Fatal(err)
	}
	overwrite(t, filepath.Join(root, "proc/sys/net/netfilter/nf_conntrack_max"), "70000")
	hear(t, heard)
}

// More writes than the kernel's queue takes, while nobody listens.
func TestWatcherSaysThatItLostWrites(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		t.Fatal(err)
	}
	queue, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if queue > 1<<18 {
		t.Skipf("this host queues %d inotify events: too many to overrun in a test", queue)
	}
	root := kerneltree.New(t)
	w, err := sysfs.NewWatcher(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	flood(t, root, queue+1<<13) // and what fsnotify holds in its buffer
	heard := run(t, w)
	for writes := 0; !hear(t, heard); writes++ {
		if writes > queue+1<<13 {
			t.Fatal("every write was heard, and none was lost")
		}
	}
}

// flood writes n times, to two files in turn: the kernel merges equal events.
func flood(t *testing.T, root string, n int) {
	t.Helper()
	var files [2]*os.File
	for i, setting := range []string{"max", "acct"} {
		file, err := os.OpenFile(filepath.Join(root, sysfs.Lookup(setting).File()), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		files[i] = file
	}
	for i := range n {
		if _, err := files[i%2].WriteAt([]byte("1"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWatcherEndsWhenClosed(t *testing.T) {
	w, err := sysfs.NewWatcher(tree.At(kerneltree.New(t)))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	err = w.Run(t.Context(), func(sysfs.Write) { t.Error("something was heard") })
	if err == nil || !strings.HasPrefix(err.Error(), "cannot watch settings: ") ||
		!strings.Contains(err.Error(), "closed") {
		t.Errorf("Run = %v, want that the watcher is closed", err)
	}
}

func TestWatcherOnTheKernel(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	needConntrack(t)
	w, heard := listen(t, "")
	files := opened(t, "")
	for i := range 3 {
		for range 3 { // not heard
			read(t, files, "udp_timeout")
		}
		overwrite(t, "/proc/sys/net/netfilter/nf_conntrack_udp_timeout", strconv.Itoa(40+i))
		if hear(t, heard) {
			t.Error("a write is called an overflow")
		}
		if len(heard) > 0 {
			t.Fatalf("%d events more than one write", len(heard))
		}
		if got, want := read(t, files, "udp_timeout"), strconv.Itoa(40+i); got != want {
			t.Errorf("the write is reported and not in effect: %s, want %s", got, want)
		}
		if err := w.Arm(); err != nil {
			t.Fatal(err)
		}
	}
}
