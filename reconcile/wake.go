package reconcile

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Reason is a set of reasons for a pass. Reasons that arise during a pass make one more pass.
type Reason uint8

// The reasons for a pass.
const (
	// Start is the first pass.
	Start Reason = 1 << iota
	// Config: the desired state was replaced, or an operator sent SIGHUP.
	Config
	// ModuleChange: a uevent announced a load or an unload of the module, or a write found the file of its
	// setting gone.
	ModuleChange
	// Write: inotify reported a write to a setting.
	Write
	// Resync: a pass was due without an event.
	Resync
	// Overflow: a queue overflowed and events were lost.
	Overflow
	// Guard: the guard reported a foreign write, through any procfs instance.
	Guard
)

// Has reports whether r contains any reason of other.
func (r Reason) Has(other Reason) bool { return r&other != 0 }

// String returns the names of the reasons, sorted: "write+overflow".
func (r Reason) String() string {
	var names []string
	for bit, name := range map[Reason]string{
		Start: "start", Config: "config", ModuleChange: "module", Write: "write", Resync: "resync",
		Overflow: "overflow", Guard: "guard",
	} {
		if r.Has(bit) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, "+")
}

// Alarm is the clock of the loop.
type Alarm interface {
	// Set makes Wait return after d, in place of the time that was set before. It may be called from any
	// goroutine.
	Set(d time.Duration)
	// Wait returns when the alarm rings, or with an error when ctx ends.
	Wait(ctx context.Context) error
}

// timerAlarm is an Alarm with a timer of the Go runtime.
type timerAlarm struct{ *time.Timer }

func newTimerAlarm() timerAlarm { return timerAlarm{time.NewTimer(never)} }

// Set implements Alarm.
func (a timerAlarm) Set(d time.Duration) { a.Reset(d) }

// Wait implements Alarm.
func (a timerAlarm) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-a.C:
		return nil
	}
}

// never is a time that does not come.
const never = time.Duration(1<<63 - 1)

// waker is the slot between the sources of events and the loop: it holds one set of reasons, and sets
// the alarm that begins the next pass.
type waker struct {
	alarm Alarm

	mu      sync.Mutex
	reasons Reason
	since   time.Time // when the first of the reasons arose
	due     time.Time // when the alarm rings; zero during a pass without a wake
}

// wake adds a reason that arose now, and lets the next pass begin after a delay at the latest. It never
// blocks.
func (w *waker) wake(r Reason, now time.Time, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reasons == 0 {
		w.since = now
	}
	w.reasons |= r
	if at := now.Add(delay); w.due.IsZero() || at.Before(w.due) {
		w.due = at
		w.alarm.Set(delay)
	}
}

// rest lets the next pass begin after a time even if there is no wake.
func (w *waker) rest(now time.Time, until time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reasons == 0 {
		w.due = now.Add(until)
		w.alarm.Set(until)
	}
}

// take empties the slot when the alarm has rung. It returns the reasons, Resync where there was no wake,
// and when the first of them arose. A wake from now on sets the alarm again.
func (w *waker) take(now time.Time) (Reason, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
	if w.reasons == 0 {
		return Resync, now
	}
	r := w.reasons
	w.reasons = 0
	return r, w.since
}
