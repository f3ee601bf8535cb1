package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/host/rawio"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// passDelay is how long the pass after a write event waits: the process that wrote may be waiting for this
// processor.
const passDelay = 2 * time.Millisecond

// earlyRepair is a repair before the pass that records it.
type earlyRepair struct {
	at    time.Time // when the event was received
	found sysfs.Value
	took  Duration // from then to the end of the write
}

// Wrote is called for a write to the file of a setting, by the name of the file, such as nf_conntrack_max. It
// reads the setting and repairs it before anything else is done, unless another setting, a contest or an
// earlier error forbids that. In each case it wakes the loop, whose pass reads all settings and records what
// was found. It does not wait for a pass.
func (k *Keeper) Wrote(file []byte) {
	at := time.Now()
	next := k.repairEarly(file, at)
	if next == afterYield {
		rawio.Yield()
	}
	delay := passDelay
	if next == atOnce {
		delay = 0
	}
	k.waker.wake(Write, at, delay)
}

// next is when the pass after a write event begins.
type next int

const (
	atOnce     next = iota
	delayed         // after passDelay
	afterYield      // the same; the setting was repaired, and its writer may be waiting for this processor
)

// repairEarly repairs the setting of a file if it has drifted.
func (k *Keeper) repairEarly(file []byte, at time.Time) next {
	if !k.mu.TryLock() {
		return atOnce // a pass is under way, and may have read the setting before the write
	}
	defer k.mu.Unlock()
	t := k.byFile[string(file)]
	switch {
	case t == nil:
		return delayed
	case t.isSlow, t.status.State != InSync && t.status.State != Contested, k.adopted != k.desired.Load():
		return atOnce
	case k.adopted.Mode == Observe, !t.early.at.IsZero(), !t.throttle.hasRoom(at), t.throttle.isContested():
		return delayed
	}
	found, err := k.opts.Kernel.Read(t.want.Setting)
	switch {
	case err != nil || !k.isCeilingInSync(t):
		return atOnce
	case t.want.Satisfied(found):
		return delayed
	case k.opts.Kernel.Write(t.want.Setting, t.want.Value) != nil:
		return atOnce // the pass meets the same error and handles it
	}
	t.early = earlyRepair{at: at, found: found, took: Duration(time.Since(at))}
	return afterYield
}

// isCeilingInSync reads the setting that bounds another one, if it is wanted too.
func (k *Keeper) isCeilingInSync(bounded *tracked) bool {
	if bounded.want.Setting.Ceiling == "" {
		return true
	}
	for _, t := range k.tracked {
		if t.want.Setting.Name == bounded.want.Setting.Ceiling {
			live, err := k.opts.Kernel.Read(t.want.Setting)
			return err == nil && t.want.Satisfied(live)
		}
	}
	return true
}

// isSlow reports whether only a pass repairs a setting: it bounds another of the wants, or it is the hash
// size, whose write can take a second (nf_conntrack_hash_resize).
func isSlow(s *sysfs.Setting, wants []sysfs.Want) bool {
	for _, want := range wants {
		if want.Setting.Ceiling == s.Name {
			return true
		}
	}
	return s.Name == sysfs.Hashsize
}

// recordEarly records the repairs since the last pass, and reads each back.
func (p *pass) recordEarly() {
	for _, t := range p.keeper.tracked {
		early := t.early
		if early.at.IsZero() {
			continue
		}
		t.early = earlyRepair{}
		t.recordDrift(early.found, CauseWrite, early.at)
		t.throttle.allow(early.at)
		p.newDrifts = append(p.newDrifts, t)
		e := settingEvent(early.at, KindDrift, t, early.found)
		e.Note = p.overfullNote(Change{Want: t.want, Found: early.found})
		e.Duration = early.took
		if live, err := p.keeper.opts.Kernel.Read(t.want.Setting); err != nil {
			e.Result, e.Error = ResultFailed, errorText(err)
		} else {
			p.judgeRepair(t, &e, live)
		}
		p.addEvent(e, t, driftMessage)
	}
}
