package reconcile

import (
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// A value that the kernel refused is retried, because memory may have been short.
const (
	firstRetry = time.Second
	maxRetry   = 5 * time.Minute
)

// tracked is what the keeper remembers of one wanted setting from pass to pass.
type tracked struct {
	want       sysfs.Want
	status     Setting
	throttle   throttle
	isNew      bool // the want is new or changed, and no pass has handled it yet
	wasPending bool // its file was missing at the pass before

	drifting   bool        // a drift is recorded and not repaired
	driftFound sysfs.Value // the value of that drift
	cause      Cause       // the cause of that drift

	writers []foreignWriter // the last foreign writers, newest first

	refusal    refusal
	unreadable string // the reported reason for a failed read
}

// refusal is the kernel's last error for a write.
type refusal struct {
	state    State // Forbidden or Failed; empty without a refusal
	reported string
	retry    time.Time // zero: not before the module or the configuration changes
	delay    time.Duration
}

// foreignWriter is a process that wrote a setting.
type foreignWriter struct {
	by *sysfs.Writer
	at time.Time // of the pass that found its value
}

// maxWriters is how many writers the message of a contest names.
const maxWriters = 2

func newTracked(want sysfs.Want) *tracked {
	t := &tracked{}
	t.status.State = Pending
	t.setWant(want)
	return t
}

// setWant takes over a want. A want of another value starts anew.
func (t *tracked) setWant(want sysfs.Want) {
	if t.want.Value != want.Value || t.want.Policy != want.Policy {
		t.isNew, t.drifting, t.refusal, t.throttle = true, false, refusal{}, throttle{}
	}
	t.want = want
	s := &t.status
	s.Name, s.Policy, s.Want, s.Origin = want.Setting.Name, want.Policy, want.Value, want.Origin
	s.MemoryBytes = want.MemoryBytes()
}

// update takes over the result of a read.
func (t *tracked) update(state State, r Reading) {
	t.wasPending = t.status.State == Pending
	t.status.Live, t.status.State, t.status.Error = r.Value, state, ""
	switch {
	case state == Unsupported:
		t.status.Error = "this kernel has no " + t.want.Setting.Sysctl()
	case r.Err != nil && state != Pending:
		t.status.Error = r.Err.Error()
	}
	if state != Drifted {
		t.drifting = false
	}
	if state == InSync {
		t.refusal = t.refusal.retryNow()
	}
	if r.Err == nil {
		t.unreadable = ""
	}
	if t.throttle.isContested() && (state == InSync || state == Drifted) {
		t.status.State = Contested
	}
}

// retryNow returns the refusal without its state: the next write is tried, and the same error is
// not reported again.
func (r refusal) retryNow() refusal { return refusal{reported: r.reported} }

// recordDrift records a drifted value, and reports whether it is a new drift.
func (t *tracked) recordDrift(found sysfs.Value, cause Cause, at time.Time) bool {
	if t.drifting && t.driftFound == found {
		return false
	}
	t.drifting, t.driftFound, t.cause = true, found, cause
	t.status.Drifts++
	t.status.LastDrift = &Drift{At: at, Found: found, Cause: cause}
	t.throttle.drifts++
	return true
}

// setRepaired records that the last drift was repaired. The Drift may be published already, and
// is replaced.
func (t *tracked) setRepaired(took Duration) {
	t.drifting = false
	drift := *t.status.LastDrift
	drift.RepairedIn = took
	t.status.LastDrift = &drift
}

// addWriter records who wrote the setting. A program that runs again and again is one writer,
// the last of its processes.
func (t *tracked) addWriter(by *sysfs.Writer, at time.Time) {
	t.writers = slices.DeleteFunc(t.writers, func(w foreignWriter) bool {
		return w.by.Comm == by.Comm && w.by.Cgroup() == by.Cgroup()
	})
	t.writers = slices.Insert(t.writers, 0, foreignWriter{by, at})
	t.writers = t.writers[:min(len(t.writers), maxWriters)]
}

// recentWriters returns the writers within the burst window before now, newest first.
func (t *tracked) recentWriters(now time.Time) []*sysfs.Writer {
	var recent []*sysfs.Writer
	for _, w := range t.writers {
		if now.Sub(w.at) <= burstWindow {
			recent = append(recent, w.by)
		}
	}
	return recent
}

// isRefused reports whether an earlier refusal forbids a write now.
func (t *tracked) isRefused(now time.Time) bool {
	r := t.refusal
	return r.state != "" && (r.retry.IsZero() || now.Before(r.retry))
}

// refuse records a refused write, and reports whether its reason has not been reported yet.
func (t *tracked) refuse(state State, why string, now time.Time) (isNew bool) {
	r := &t.refusal
	isNew = r.reported != why
	r.state, r.reported = state, why
	if state == Failed {
		r.delay = min(max(2*r.delay, firstRetry), maxRetry)
		r.retry = now.Add(r.delay)
	}
	t.status.State, t.status.Error = state, why
	return isNew
}

// nextPass returns when the setting needs a pass without an event; zero is never.
func (t *tracked) nextPass(mode Mode) time.Time {
	next := t.throttle.nextPass(t.drifting && mode == Enforce)
	r := t.refusal
	if t.drifting && r.state != "" && (r.retry.IsZero() || r.retry.After(next)) {
		return r.retry
	}
	return next
}
