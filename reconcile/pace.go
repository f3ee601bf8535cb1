package reconcile

import "time"

// The pace of repairs under contention.
const (
	// burst repairs within burstWindow are made at once.
	burst       = 10
	burstWindow = 10 * time.Second
	// Then each repair waits twice as long as the one before it.
	firstDelay = time.Second
	maxDelay   = 30 * time.Second
	// settleAfter without a drift a contested setting has settled.
	settleAfter = 10 * time.Second
)

// pace decides when a setting may be repaired. Its zero value is at peace. It
// keeps no clock: every call says what time it is.
type pace struct {
	acted     []time.Time // the repairs of the last burstWindow
	delay     time.Duration
	next      time.Time // no repair before
	lastDrift time.Time
	since     time.Time // contested since, or zero
	drifts    int       // seen since then
}

func (p *pace) contested() bool { return !p.since.IsZero() }

// drift says that the setting is off at now. It reports whether to repair it
// now, and whether this is the moment at which it became contested.
func (p *pace) drift(now time.Time) (act, began bool) {
	p.lastDrift = now
	if p.contested() {
		if now.Before(p.next) {
			return false, false
		}
		p.backOff(now)
		return true, false
	}
	for len(p.acted) > 0 && now.Sub(p.acted[0]) > burstWindow {
		p.acted = p.acted[1:]
	}
	if len(p.acted) < burst {
		p.acted = append(p.acted, now)
		return true, false
	}
	p.since, p.drifts = now, 0
	p.backOff(now)
	return false, true
}

func (p *pace) backOff(now time.Time) {
	p.delay = min(max(2*p.delay, firstDelay), maxDelay)
	p.next = now.Add(p.delay)
}

// calm says that the setting is as wanted at now. It reports whether a contest
// is over by that; the pace is then as new.
func (p *pace) calm(now time.Time) (settled bool) {
	if !p.contested() || now.Sub(p.lastDrift) < settleAfter {
		return false
	}
	*p = pace{}
	return true
}

// due is when to look at the setting again although nobody says anything: the
// next repair while it is off, the end of the contest while it is not. Zero is
// never.
func (p *pace) due(off bool) time.Time {
	switch {
	case !p.contested():
		return time.Time{}
	case off:
		return p.next
	default:
		return p.lastDrift.Add(settleAfter)
	}
}
