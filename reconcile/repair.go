package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// update takes over the result of a read, and records a contest that ended or an unreadable file.
func (p *pass) update(t *tracked, state State, r Reading) {
	t.update(state, r)
	switch state {
	case InSync:
		p.settle(t, r.Value)
	case Pending, Unsupported:
		t.throttle = throttle{} // the contested file is gone
	case Forbidden, Failed:
		p.reportUnreadable(t, state, r.Err)
	}
}

// reportUnreadable records once that a setting cannot be read. It does not forbid a later write.
func (p *pass) reportUnreadable(t *tracked, state State, err error) {
	why := reasonOf(err)
	if t.unreadable == why {
		return
	}
	t.unreadable = why
	p.add(unreadableEvent(p.now, t, state, why), t, unreadableMessage)
}

// settle ends a contest that had no drift for long enough.
func (p *pass) settle(t *tracked, live sysfs.Value) {
	since, drifts := t.throttle.since, t.throttle.drifts
	if !t.throttle.settle(p.now) {
		return
	}
	if t.status.State == Contested {
		t.status.State = InSync
		if t.drifting {
			t.status.State = Drifted
		}
	}
	p.add(settingEvent(p.now, KindSettled, t, live), nil, settledMessage(drifts, p.now.Sub(since)))
}

// handle treats one setting whose live value does not satisfy its want.
func (p *pass) handle(t *tracked, change Change) {
	isNew := t.recordDrift(change.Found, p.causeOf(t), p.now)
	if isNew {
		p.newDrifts = append(p.newDrifts, t)
	}
	observe := p.keeper.adopted.Mode == Observe
	switch {
	case t.isRefused(p.now):
		t.status.State, t.status.Error = t.refusal.state, t.refusal.reported
		if isNew {
			p.addQuietDrift(t, change.Found, NotRepaired, t.refusal.reported)
		}
		return
	case observe && !isNew:
		p.settle(t, change.Found)
		return
	}
	repair, begins := p.mayRepair(t, isNew)
	switch {
	case begins:
		t.status.State = Contested
		p.add(settingEvent(p.now, KindContested, t, change.Found), t, contestedMessage(nil))
	case repair && observe:
		e := settingEvent(p.now, KindDrift, t, change.Found)
		e.Result = Observed
		p.add(e, t, driftMessage)
	case repair:
		p.repair(t, change, isNew)
	case isNew:
		p.addQuietDrift(t, change.Found, "", "")
	}
}

// addQuietDrift adds a drift that is counted and not logged.
func (p *pass) addQuietDrift(t *tracked, found sysfs.Value, result Result, why string) {
	e := settingEvent(p.now, KindDrift, t, found)
	e.Result, e.Error, e.Quiet = result, why, true
	p.add(e, t, driftMessage)
}

// mayRepair reports whether to repair a drift now, and whether a contest begins with it. A drift
// that the start, a configuration or a load brought has no opponent: it is repaired at once and
// does not count for a contest, however often the module is loaded.
func (p *pass) mayRepair(t *tracked, isNew bool) (repair, begins bool) {
	if isNew && (p.first || t.isNew || p.moduleChanged || t.wasPending) {
		return true, false
	}
	return t.throttle.drifted(p.now)
}

// repair writes the wanted value and reads it back.
func (p *pass) repair(t *tracked, change Change, isNew bool) {
	kernel := p.keeper.opts.Kernel
	e := settingEvent(p.now, KindDrift, t, change.Found)
	e.Note = p.warnOverfull(change)
	if err := kernel.Write(t.want.Setting, t.want.Value); err != nil {
		p.writeFailed(t, e, err)
		return
	}
	live, err := kernel.Read(t.want.Setting)
	if err != nil {
		p.writeFailed(t, e, err)
		return
	}
	e.Duration = Duration(time.Since(p.since))
	t.status.Live, t.refusal = live, refusal{}
	if t.want.Satisfied(live) {
		e.Result = Repaired
		t.setRepaired(e.Duration)
		if !t.throttle.isContested() {
			t.status.State = InSync
		}
	} else {
		// Another writer was faster, or the kernel keeps another value: the next pass sees which
		// it is, and the throttle limits the attempts.
		e.Result = NotRepaired
		e.Error = fmt.Sprintf("after writing %s the kernel shows %s", t.want.Value, live)
		t.driftFound = live
		p.keeper.Wake(Write)
	}
	e.Quiet = t.throttle.isContested()
	if isNew || e.Result == Repaired {
		p.add(e, t, driftMessage)
	}
}

// writeFailed treats a failed write or read back: not permitted, gone with the module, or refused.
func (p *pass) writeFailed(t *tracked, e Event, err error) {
	switch {
	case sysfs.Forbidden(err):
		p.forbid(t, err)
	case sysfs.Gone(err) && p.isGone(t):
		t.status.Live, t.status.State, t.drifting = sysfs.Value{}, Pending, false
		p.keeper.Wake(ModuleMoved)
	case t.refuse(Failed, err.Error(), p.now):
		e.Kind, e.Error, e.Result = KindFailed, err.Error(), NotRepaired
		p.add(e, t, failedMessage)
	}
}

// isGone reports whether a setting's file is missing: a write may answer ENOENT for its value too.
func (p *pass) isGone(t *tracked) bool {
	_, err := p.keeper.opts.Kernel.Read(t.want.Setting)
	return sysfs.Gone(err)
}

// forbid records that a setting may not be written. Settings with the same reason share an event.
func (p *pass) forbid(t *tracked, err error) {
	d := denial{why: reasonOf(err), remedy: p.keeper.opts.Kernel.Remedy(t.want.Setting, err)}
	if !t.refuse(Forbidden, d.why+"; "+d.remedy, p.now) {
		return
	}
	i := slices.IndexFunc(p.denials, func(other denial) bool { return other.why == d.why && other.remedy == d.remedy })
	if i < 0 {
		i, p.denials = len(p.denials), append(p.denials, d)
	}
	p.denials[i].settings = append(p.denials[i].settings, t.want.Setting.Name)
}

// warnOverfull returns a warning where the new max is below the present number of connections.
func (p *pass) warnOverfull(change Change) string {
	if change.Want.Setting.Name != sysfs.Max || change.Want.Raises(change.Found) {
		return ""
	}
	count, err := p.keeper.opts.Kernel.Count()
	limit, ok := change.Want.Value.Int()
	if err != nil || !ok || limit == 0 || count <= limit {
		return ""
	}
	return fmt.Sprintf("the table holds %d connections, more than the new max: "+
		"new ones are dropped until there are fewer", count)
}

func (p *pass) causeOf(t *tracked) Cause {
	switch {
	case p.first:
		return CauseStart
	case t.isNew:
		return CauseConfig
	case p.moduleChanged, t.wasPending: // the file may be there before the load is done
		return CauseModuleLoad
	case p.reasons.Has(Write | Guard):
		return CauseWrite
	default:
		return CauseResync
	}
}

// reasonOf returns the kernel's text for an error: "permission denied".
func reasonOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
