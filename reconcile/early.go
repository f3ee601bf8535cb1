package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// passDelay is how long the pass after a write event waits: the process that wrote may be waiting for this
// processor.
const passDelay = 2 * time.Millisecond

// earlyRepair is a repair before the pass that records it.
type earlyRepair struct {
	at    time.Time // when the event was received
	found sysfs.Value
	took  Duration // from then to the value read back
}

// Wrote is called for a write to the file of a setting, by the name of the file, such as nf_conntrack_max. It
// reads the setting and repairs it before anything else is done, unless another setting, a contest or an
// earlier error forbids that. In each case it wakes the loop, whose pass reads all settings and records what
// was found. It does not wait for a pass.
func (k *Keeper) Wrote(file string) {
	at := time.Now()
	delay := passDelay
	if !k.repairEarly(file, at) {
		delay = 0
	}
	k.waker.wake(Write, at, delay)
}

// repairEarly repairs the setting of a file if it has drifted. It returns false if a pass has to look at
// once.
func (k *Keeper) repairEarly(file string, at time.Time) bool {
	if !k.mu.TryLock() {
		return false // a pass is under way, and may have read the setting before the write
	}
	defer k.mu.Unlock()
	t := k.byFile[file]
	switch {
	case t == nil:
		return true
	case t.isSlow, t.status.State != InSync && t.status.State != Contested, k.adopted != k.desired.Load():
		return false
	case k.adopted.Mode == Observe, t.early != nil, !t.throttle.hasRoom(at), t.throttle.isContested():
		return true
	}
	kernel := k.opts.Kernel
	found, err := kernel.Read(t.want.Setting)
	switch {
	case err != nil || !k.isCeilingInSync(t):
		return false
	case t.want.Satisfied(found):
		return true
	case kernel.Write(t.want.Setting, t.want.Value) != nil:
		return false // the pass meets the same error and handles it
	}
	live, err := kernel.Read(t.want.Setting)
	if err != nil || !t.want.Satisfied(live) {
		return false
	}
	t.early = &earlyRepair{at: at, found: found, took: Duration(time.Since(at))}
	return true
}

// isCeilingInSync reads the setting that bounds another one, if it is wanted too.
func (k *Keeper) isCeilingInSync(bounded *tracked) bool {
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

// recordEarly records the repairs since the last pass.
func (p *pass) recordEarly() {
	for _, t := range p.keeper.tracked {
		early := t.early
		if early == nil {
			continue
		}
		t.early = nil
		t.recordDrift(early.found, CauseWrite, early.at)
		t.throttle.allow(early.at)
		t.setRepaired(early.took)
		p.newDrifts = append(p.newDrifts, t)
		e := settingEvent(early.at, KindDrift, t, early.found)
		e.Note = p.overfullNote(Change{Want: t.want, Found: early.found})
		e.Duration, e.Result = early.took, ResultRepaired
		p.addEvent(e, t, driftMessage)
	}
}
