package daemon

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// A new hash table may take 1/availableShare of the available memory. The kernel allocates it while
	// the old one is in use, and starts its OOM killer rather than fail (GFP_KERNEL in kvmalloc). Half of
	// what is available is left, because that is an estimate: it includes page cache that programs need,
	// and others allocate at the same time.
	availableShare = 2
	// After a resize that killed ctkeeper the same one is tried again after firstResizePause,
	// doubling up to maxResizePause.
	firstResizePause = 5 * time.Minute
	maxResizePause   = 6 * time.Hour
)

// resizer is the kernel with care for the host's memory: it makes no hash table that memory cannot hold
// now, and does not repeat at once a resize in which ctkeeper was killed.
type resizer struct {
	reconcile.Kernel
	host  tree.Tree
	lock  *lockFile
	retry atomic.Bool // the next resize may repeat one that killed

	mu     sync.Mutex // held during a resize
	killed *resizeMark
	// short is the error of the last resize that memory was too short for, or nil. It is returned until
	// that has changed: the same failure is logged once, although the figures differ each time.
	short      error
	shortValue int64
}

// resizeMark is what the lock file says of a resize, for the next daemon.
type resizeMark struct {
	Buckets  int64     `json:"buckets"`
	Instance uint64    `json:"instance"` // of the module
	Running  bool      `json:"running"`  // it has not returned
	Kills    int       `json:"kills"`    // how often ctkeeper was killed in it
	Until    time.Time `json:"until"`    // it is not repeated before
}

// newResizer returns the kernel with the mark of the last daemon, which was killed in a resize if
// that has not returned.
func newResizer(host tree.Tree, kernel reconcile.Kernel, lock *lockFile, log *logging.Logger) *resizer {
	r := &resizer{Kernel: kernel, host: host, lock: lock, killed: lock.resize()}
	if m := r.killed; m != nil && m.Running {
		pause := min(firstResizePause<<min(m.Kills, 10), maxResizePause)
		m.Running, m.Kills, m.Until = false, m.Kills+1, time.Now().Add(pause)
		lock.setResize(m)
		log.Warn("the last ctkeeper was killed while the hash table was resized, probably for want of memory",
			logging.Int64("buckets", m.Buckets), logging.Int("kills", m.Kills))
	}
	return r
}

// Write writes a setting. The hash size may be refused for want of memory.
func (r *resizer) Write(s *sysfs.Setting, value sysfs.Value) error {
	buckets, isNumber := value.Int()
	if s.Name != sysfs.Hashsize || !isNumber {
		return r.Kernel.Write(s, value)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	mark := &resizeMark{
		Buckets: buckets, Instance: kmod.Observe(r.host, kmod.Conntrack).Instance, Running: true,
	}
	if err := r.check(mark); err != nil {
		return fmt.Errorf("cannot write %d: %w", buckets, err)
	}
	r.lock.setResize(mark)
	err := r.resize(s, value)
	r.lock.setResize(nil)
	r.killed = nil
	return err
}

// check returns why a resize is not to be made now.
func (r *resizer) check(mark *resizeMark) error {
	if k := r.killed; k != nil && k.Buckets == mark.Buckets && k.Instance == mark.Instance {
		wait := time.Until(k.Until)
		if !r.retry.Swap(false) && 0 < wait && wait <= maxResizePause {
			return fmt.Errorf("ctkeeper was killed while the kernel made this hash table, probably for want of "+
				"memory: tried again after %s, at once after systemctl reload, or with another hashsize",
				k.Until.Format(time.DateTime))
		}
		mark.Kills = k.Kills
	}
	need := sysfs.TableBytes(mark.Buckets)
	available, err := meminfo.Available(r.host)
	if err != nil || need <= available/availableShare {
		r.short = nil
		return nil
	}
	if r.short == nil || r.shortValue != mark.Buckets {
		r.shortValue = mark.Buckets
		r.short = fmt.Errorf("its hash table takes %s, and %s of memory are available, of which it may take half: "+
			"free memory or configure a smaller hashsize; it is tried again",
			config.FormatBytes(need), config.FormatBytes(available))
	}
	return r.short
}

// resize writes the hash size. Meanwhile ctkeeper is the process that the OOM killer takes first: who asks
// for the memory is to be killed, and none of the host's other programs.
func (r *resizer) resize(s *sysfs.Setting, value sysfs.Value) error {
	const file = "/proc/self/oom_score_adj" // proc_pid_oom_score_adj(5)
	if before, err := os.ReadFile(file); err == nil && writeExisting(file, []byte("1000")) == nil {
		defer func() { _ = writeExisting(file, before) }() // what was allowed before is allowed again
	}
	return r.Kernel.Write(s, value)
}

func writeExisting(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
