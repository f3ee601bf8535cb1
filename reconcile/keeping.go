package reconcile

import (
	"slices"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The pace at which a value that the kernel refused is tried again: it may have
// been short of memory.
const (
	firstRetry = time.Second
	maxRetry   = 5 * time.Minute
)

// keeping is what the keeper knows of one wanted setting from pass to pass.
type keeping struct {
	want   sysfs.Want
	status Setting
	pace   pace
	fresh  bool // the want is new or changed, and no pass has seen it yet
	absent bool // its file was not there at the look before this one

	open      bool   // a drift is recorded and not repaired
	openFound string // the value that was found then
	cause     Cause  // of that drift

	rivals []rival // who wrote it lately, the last one first

	refused    refusal
	unreadable string // what was said of a failed reading
}

// refusal is the kernel's last no.
type refusal struct {
	state State // Forbidden or Failed; empty: none
	said  string
	retry time.Time // zero: not before something changes
	delay time.Duration
}

// rival is a foreign writer of a setting.
type rival struct {
	by *sysfs.Writer
	at time.Time // of the look that found what it wrote
}

// maxRivals is how many of them a contest names.
const maxRivals = 2

func newKeeping(want sysfs.Want) *keeping {
	kp := &keeping{}
	kp.status.State = Pending
	kp.setWant(want)
	return kp
}

// setWant takes over a want; a want of another value begins anew.
func (kp *keeping) setWant(want sysfs.Want) {
	if kp.want.Value != want.Value || kp.want.Policy != want.Policy {
		kp.fresh, kp.open, kp.refused, kp.pace = true, false, refusal{}, pace{}
	}
	kp.want = want
	kp.status.Name, kp.status.Want, kp.status.Policy, kp.status.Origin = want.Setting.Name, want.Value, want.Policy, want.Origin
}

// follow takes over what a look found.
func (kp *keeping) follow(state State, r Reading) {
	kp.absent = kp.status.State == Pending
	kp.status.Now, kp.status.State, kp.status.Error = r.Value, state, ""
	switch {
	case state == Unsupported:
		kp.status.Error = "this kernel has no " + kp.want.Setting.Sysctl()
	case r.Err != nil && state != Pending:
		kp.status.Error = r.Err.Error()
	}
	if state != Drifted {
		kp.open = false
	}
	if state == InSync { // what was said stays said
		kp.refused = refusal{said: kp.refused.said}
	}
	if r.Err == nil {
		kp.unreadable = ""
	}
	if kp.pace.contested() && (state == InSync || state == Drifted) {
		kp.status.State = Contested
	}
}

// newDrift records a value that was not found before, and reports whether it is
// one.
func (kp *keeping) newDrift(found string, cause Cause, at time.Time) bool {
	if kp.open && kp.openFound == found {
		return false
	}
	kp.open, kp.openFound, kp.cause = true, found, cause
	kp.status.Drifts++
	kp.status.LastDrift = &Drift{At: at, Found: found, Cause: cause}
	kp.pace.drifts++
	return true
}

// metRival notes who wrote the setting. A program that is run again and again is one rival,
// the last of its processes.
func (kp *keeping) metRival(by *sysfs.Writer, at time.Time) {
	kp.rivals = slices.DeleteFunc(kp.rivals, func(r rival) bool { return r.by.Comm == by.Comm && r.by.Place() == by.Place() })
	kp.rivals = slices.Insert(kp.rivals, 0, rival{by, at})
	kp.rivals = kp.rivals[:min(len(kp.rivals), maxRivals)]
}

// rivalsAt are those whose writes made the contest that began at now.
func (kp *keeping) rivalsAt(now time.Time) []rival {
	return slices.DeleteFunc(slices.Clone(kp.rivals), func(r rival) bool { return now.Sub(r.at) > burstWindow })
}

// held reports whether an earlier refusal keeps us from trying now.
func (kp *keeping) held(now time.Time) bool {
	r := kp.refused
	return r.state != "" && (r.retry.IsZero() || now.Before(r.retry))
}

// refuse notes the kernel's no and reports whether it has not been said yet.
func (kp *keeping) refuse(state State, why string, now time.Time) (news bool) {
	r := &kp.refused
	news = r.state != state || r.said != why
	r.state, r.said = state, why
	if state == Failed {
		r.delay = min(max(2*r.delay, firstRetry), maxRetry)
		r.retry = now.Add(r.delay)
	}
	kp.status.State, kp.status.Error = state, why
	return news
}

// due is when the setting wants to be looked at although nobody says anything.
func (kp *keeping) due(mode Mode) time.Time {
	due := kp.pace.due(kp.open && mode == Enforce)
	if kp.open && kp.refused.state != "" && (kp.refused.retry.IsZero() || kp.refused.retry.After(due)) {
		return kp.refused.retry
	}
	return due
}
