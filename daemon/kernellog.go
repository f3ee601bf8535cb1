package daemon

import (
	"context"
	"maps"
	"sync"

	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/status"
)

// kernelMessages counts the kernel's messages of full tables.
type kernelMessages struct {
	mu     sync.Mutex
	counts map[string]int64 // nil while the log is not read
}

// setReading starts the counts at 0, or removes them if the log cannot be read.
func (k *kernelMessages) setReading(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.counts = nil
	if on {
		k.counts = map[string]int64{status.TableFull: 0, status.ExpectationsFull: 0}
	}
}

func (k *kernelMessages) add(kind string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.counts != nil {
		k.counts[kind]++
	}
}

// snapshot returns the number of messages by kind; nil if the log is not read.
func (k *kernelMessages) snapshot() map[string]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.counts)
}

// fullTable returns which table a message of the kernel calls full, as a kind of status; ""
// for any other message. The kernel limits their rate: they show that something is lost, not
// how much (net_warn_ratelimited in nf_conntrack_core.c and nf_conntrack_expect.c).
func fullTable(text string) string {
	switch {
	case klog.ExpectationTableFull(text):
		return status.ExpectationsFull
	case klog.TableFull(text):
		return status.TableFull
	}
	return ""
}

// followKernelLog counts the kernel's messages of full tables where its log is readable. Where
// it is not, as in the service, only these counts are missing.
func (d *Daemon) followKernelLog(ctx context.Context) error {
	d.messages.setReading(true)
	err := klog.Follow(ctx, d.host, func(m klog.Message) {
		if kind := fullTable(m.Text); kind != "" {
			d.messages.add(kind)
		}
	})
	if ctx.Err() == nil {
		d.messages.setReading(false)
		d.opts.Log.Debug("kernel log: not readable, messages of full tables are not counted", logging.Error(err))
	}
	return nil // an unreadable log does not stop the daemon
}
