package reconcile

import "time"

// The rate of repairs while another writer keeps changing a setting.
const (
	// burst repairs within burstWindow are made at once.
	burst       = 10
	burstWindow = 10 * time.Second
	// After them the setting is contested: the first repair waits firstDelay, each further one twice as
	// long as the one before it, at most maxDelay.
	firstDelay = time.Second
	maxDelay   = 30 * time.Second
	// A contest has ended after settleAfter without a drift.
	settleAfter = 10 * time.Second
)

// throttle limits the repairs of one setting. The zero value allows a burst. It reads no
// clock: the time is an argument.
type throttle struct {
	repairs       []time.Time // within the last burstWindow
	delay         time.Duration
	nextRepair    time.Time // not before this time; only while contested
	lastDrift     time.Time
	contestSince  time.Time // begin of the contest, or zero
	contestDrifts int       // drifts since then
}

func (t *throttle) isContested() bool { return !t.contestSince.IsZero() }

// allow records a drift at now. It reports whether to repair it now, and whether a contest begins with
// this drift; then it is not repaired at once.
func (t *throttle) allow(now time.Time) (repair, begins bool) {
	t.lastDrift = now
	if t.isContested() {
		if now.Before(t.nextRepair) {
			return false, false
		}
		t.backOff(now)
		return true, false
	}
	if t.hasRoom(now) {
		t.repairs = append(t.repairs, now)
		return true, false
	}
	t.contestSince, t.contestDrifts = now, 0
	t.backOff(now)
	return false, true
}

// hasRoom reports whether a repair at now is within the burst.
func (t *throttle) hasRoom(now time.Time) bool {
	for len(t.repairs) > 0 && now.Sub(t.repairs[0]) > burstWindow {
		t.repairs = t.repairs[1:]
	}
	return len(t.repairs) < burst
}

func (t *throttle) backOff(now time.Time) {
	t.delay = min(max(2*t.delay, firstDelay), maxDelay)
	t.nextRepair = now.Add(t.delay)
}

// endIfOver ends a contest that had no drift for settleAfter, and reports whether it did. It then
// resets the throttle.
func (t *throttle) endIfOver(now time.Time) bool {
	if !t.isContested() || now.Sub(t.lastDrift) < settleAfter {
		return false
	}
	*t = throttle{}
	return true
}

// nextPass returns when a contested setting needs a pass without an event: for the next repair
// while it is drifted, for the end of the contest otherwise. It is zero without a contest.
func (t *throttle) nextPass(drifted bool) time.Time {
	switch {
	case !t.isContested():
		return time.Time{}
	case drifted:
		return t.nextRepair
	default:
		return t.lastDrift.Add(settleAfter)
	}
}
