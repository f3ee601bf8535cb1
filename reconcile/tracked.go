package reconcile

import (
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// A write that failed is retried after these times, because memory may have been short.
const (
	firstRetry = time.Second
	maxRetry   = 5 * time.Minute
)

// tracked is the state of one wanted setting that is kept from pass to pass.
type tracked struct {
	want       sysfs.Want
	status     SettingStatus
	throttle   throttle
	noted      State // at the end of the last pass
	isNew      bool  // the want is new or changed, and no pass has handled it yet
	wasPending bool  // its file was missing in the previous pass

	// early is a repair since the last pass, which the next one records; zero where there is none.
	early earlyRepair
	// isSlow is true for a setting that only a pass repairs: it bounds another wanted one, and the order
	// of the writes matters, or its write blocks.
	isSlow bool

	drifting   bool        // a drift is recorded and not repaired
	driftFound sysfs.Value // the value of that drift
	cause      Cause       // the cause of that drift

	writers []foreignWriter // the last foreign writers, newest first

	writeFailure writeFailure
	unreadable   string // the error of the last failed read that was reported
}

// writeFailure is the last error of a write, and when the next write is allowed.
type writeFailure struct {
	state    State     // Forbidden or Failed blocks writes; empty does not
	reported string    // the text of the last error that was reported
	retry    time.Time // when writes are allowed again; zero: after a change of module or configuration
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

// setWant replaces the want. If its value or policy differs, contest, drift and write failure are reset.
func (t *tracked) setWant(want sysfs.Want) {
	if t.want.Value != want.Value || t.want.Policy != want.Policy {
		t.isNew, t.drifting, t.writeFailure, t.throttle = true, false, writeFailure{}, throttle{}
	}
	t.want = want
	s := &t.status
	s.Name, s.Policy, s.Want, s.Origin = want.Setting.Name, want.Policy, want.Value, want.Origin
	s.MemoryBytes = want.MemoryBytes()
}

// noteState sets when the state began, at the end of a pass.
func (t *tracked) noteState(now time.Time) {
	if t.status.State != t.noted {
		t.noted, t.status.Since = t.status.State, now
	}
}

// setReading updates the status from the result of a read.
func (t *tracked) setReading(state State, r Reading) {
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
		t.writeFailure = t.writeFailure.allowRetry()
	}
	if r.Err == nil {
		t.unreadable = ""
	}
	if t.throttle.isContested() && (state == InSync || state == Drifted) {
		t.status.State = Contested
	}
}

// allowRetry returns a failure that does not block the next write. The reported text remains, so that
// an equal error is not reported again.
func (f writeFailure) allowRetry() writeFailure { return writeFailure{reported: f.reported} }

// recordDrift records a drifted value, and reports whether it is a new drift.
func (t *tracked) recordDrift(found sysfs.Value, cause Cause, at time.Time) bool {
	if t.drifting && t.driftFound == found {
		return false
	}
	t.drifting, t.driftFound, t.cause = true, found, cause
	t.status.Drifts++
	t.status.LastDrift = &Drift{At: at, Found: found, Cause: cause}
	t.throttle.contestDrifts++
	return true
}

// setRepaired records that the last drift was repaired. It replaces the Drift instead of changing
// it: the Drift may be part of a Report already.
func (t *tracked) setRepaired(took Duration) {
	t.drifting = false
	drift := *t.status.LastDrift
	drift.RepairedIn = took
	t.status.LastDrift = &drift
}

// addWriter records a process that wrote the setting. It replaces an earlier process of the same
// command and cgroup, so that a program that runs again and again is one writer.
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

// isWriteBlocked reports whether an earlier error of a write blocks a write now.
func (t *tracked) isWriteBlocked(now time.Time) bool {
	f := t.writeFailure
	return f.state != "" && (f.retry.IsZero() || now.Before(f.retry))
}

// recordWriteFailure records the error of a write, and reports whether it differs from the last one
// that was reported.
func (t *tracked) recordWriteFailure(state State, errText string, now time.Time) (isNew bool) {
	f := &t.writeFailure
	isNew = f.reported != errText
	f.state, f.reported = state, errText
	if state == Failed {
		f.delay = min(max(2*f.delay, firstRetry), maxRetry)
		f.retry = now.Add(f.delay)
	}
	t.status.State, t.status.Error = state, errText
	return isNew
}

// nextPass returns when the setting needs a pass without an event; zero is never.
func (t *tracked) nextPass(mode Mode) time.Time {
	next := t.throttle.nextPass(t.drifting && mode == Enforce)
	f := t.writeFailure
	if t.drifting && f.state != "" && (f.retry.IsZero() || f.retry.After(next)) {
		return f.retry
	}
	return next
}
