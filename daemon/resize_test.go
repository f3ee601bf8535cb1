package daemon

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const bigTable = "settings: {hashsize: 262144, max: 100000}\n" // 2 MiB of buckets

func meminfoOf(t *testing.T, root, available string) {
	t.Helper()
	kerneltree.Put(t, root, "proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: "+available+" kB\n")
}

// A hash table that memory cannot hold now is not asked for. The other settings are kept, the reason is logged
// once whatever the figures are, and it is made when there is memory.
func TestResizeWithoutMemory(t *testing.T) {
	root := kerneltree.New(t)
	meminfoOf(t, root, "4095")
	d := start(t, root, bigTable)
	if hashsize, limit := kerneltree.Get(t, root, "hashsize"), kerneltree.Get(t, root, "max"); hashsize != "65536" ||
		limit != "100000" {
		t.Errorf("hashsize is %s and max %s, want 65536 left and 100000 set", hashsize, limit)
	}
	const want = "cannot write 262144: its hash table takes 2 MiB, and 4 MiB of memory are available, of which it " +
		"may take half: free memory or configure a smaller hashsize; it is tried again"
	status := settingOf(t, d, sysfs.Hashsize)
	if status.State != reconcile.Failed || status.Error != want {
		t.Errorf("hashsize is %s: %s\nwant failed: %s", status.State, status.Error, want)
	}
	meminfoOf(t, root, "3000")
	time.Sleep(1500 * time.Millisecond) // it is tried again
	if got := len(d.logs.FilterMessageSnippet("hash table").All()); got != 1 {
		t.Errorf("the reason was logged %d times, want once", got)
	}
	meminfoOf(t, root, "4096")
	d.wait("the resize", func() bool { return kerneltree.Get(t, root, "hashsize") == "262144" })
}

func settingOf(t *testing.T, d *running, name string) reconcile.SettingStatus {
	t.Helper()
	for _, s := range d.status().Settings {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("the status has no %s", name)
	return reconcile.SettingStatus{}
}

// A resize that killed the last daemon is not repeated at once, unless an operator asks for it.
func TestResizeThatKilled(t *testing.T) {
	root := kerneltree.New(t)
	instance := kmod.Observe(tree.At(root), kmod.Conntrack).Instance
	killed := func(instance uint64) func(*Options) {
		mark := &resizeMark{Buckets: 262144, Instance: instance, Running: true}
		text, err := json.Marshal(lockContent{PID: 1, Resize: mark})
		if err != nil {
			t.Fatal(err)
		}
		return func(o *Options) {
			write(t, filepath.Join(filepath.Dir(o.Socket), lockName), string(text)+"\ngarbage")
		}
	}
	d := start(t, root, bigTable, killed(instance))
	status := settingOf(t, d, sysfs.Hashsize)
	if kerneltree.Get(t, root, "hashsize") != "65536" || kerneltree.Get(t, root, "max") != "100000" ||
		status.State != reconcile.Failed || !strings.Contains(status.Error, "ctkeeper was killed while") {
		t.Errorf("hashsize is %s: %s, want it left, and max kept", status.State, status.Error)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.wait("the resize", func() bool { return kerneltree.Get(t, root, "hashsize") == "262144" })
	d.wait("the mark's end", func() bool { return lockOf(t, d.socket).Resize == nil })
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	// Another value is written at once, and so is the same one after the module was loaded again.
	d = start(t, root, "settings: {hashsize: 131072}\n", killed(instance))
	if got := kerneltree.Get(t, root, "hashsize"); got != "131072" {
		t.Errorf("hashsize is %s, want 131072", got)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	start(t, root, bigTable, killed(instance+1))
	if got := kerneltree.Get(t, root, "hashsize"); got != "262144" {
		t.Errorf("hashsize is %s, want 262144", got)
	}
}

func lockOf(t *testing.T, socket string) lockContent {
	t.Helper()
	file, err := os.Open(filepath.Join(filepath.Dir(socket), lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	return readLock(file)
}

// killing is a kernel whose writes show what the lock file says meanwhile.
type killing struct {
	reconcile.Kernel
	lock *lockFile
	seen []lockContent
}

func (k *killing) Write(*sysfs.Setting, sysfs.Value) error {
	k.seen = append(k.seen, readLock(k.lock.File))
	return nil
}

// The mark is there during a resize and only then. The pause grows with each kill.
func TestResizeMark(t *testing.T) {
	root := kerneltree.New(t)
	path := filepath.Join(t.TempDir(), lockName)
	open := func() *lockFile {
		file, err := openLock(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = file.Close() })
		return &lockFile{File: file, content: readLock(file)}
	}
	hashsize, value := sysfs.Lookup(sysfs.Hashsize), sysfs.Number(262144)
	for kills, pause := range []time.Duration{0, 5 * time.Minute, 10 * time.Minute} {
		lock := open()
		kernel := &killing{lock: lock}
		r := newResizer(tree.At(root), kernel, lock, logging.NewNop())
		r.retry.Store(true)
		if kills > 0 && time.Until(r.killed.Until).Round(time.Minute) != pause {
			t.Errorf("after %d kills it waits until %v, want %v", kills, r.killed.Until, pause)
		}
		if err := r.Write(hashsize, value); err != nil {
			t.Fatal(err)
		}
		seen := kernel.seen[0].Resize
		if seen == nil || !seen.Running || seen.Kills != kills || seen.Buckets != 262144 {
			t.Fatalf("mark %+v during the resize, want one with %d kills", seen, kills)
		}
		if after := readLock(lock.File).Resize; after != nil {
			t.Errorf("mark %+v after the resize", after)
		}
		lock.setResize(seen) // as if ctkeeper had been killed
	}
}

// scored is a kernel whose writes show how likely the OOM killer takes this process.
type scored struct {
	reconcile.Kernel
	seen string
}

func (s *scored) Write(*sysfs.Setting, sysfs.Value) error {
	s.seen = oomScore()
	return nil
}

func oomScore() string {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// During a resize, and only then, ctkeeper is the first to be killed for want of memory.
func TestResizeMakesVictim(t *testing.T) {
	before, kernel := oomScore(), &scored{}
	r := newResizer(tree.At(kerneltree.New(t)), kernel, nil, logging.NewNop())
	for setting, want := range map[string]string{sysfs.Hashsize: "1000", sysfs.Max: before} {
		if err := r.Write(sysfs.Lookup(setting), sysfs.Number(131072)); err != nil {
			t.Fatal(err)
		}
		if after := oomScore(); kernel.seen != want || after != before {
			t.Errorf("%s: oom_score_adj is %s during the write and %s after it, want %s and %s",
				setting, kernel.seen, after, want, before)
		}
	}
}
