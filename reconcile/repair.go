package reconcile

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// applyReading updates a setting from the result of a read, and records a contest that ended or a
// failed read.
func (p *pass) applyReading(t *tracked, state State, r Reading) {
	t.setReading(state, r)
	switch state {
	case InSync:
		p.endContestIfOver(t, r.Value)
	case Pending, Unsupported:
		t.throttle = throttle{} // a contest does not outlive the file
	case Forbidden, Failed:
		// Whether a contest goes on is not known. It must end, though, or the loop would look for its end
		// without a pause.
		t.throttle.endIfOver(p.now)
		p.reportUnreadable(t, state, r.Err)
	}
}

// reportUnreadable records that a setting cannot be read, once for the same error. It does not block a
// later write.
func (p *pass) reportUnreadable(t *tracked, state State, err error) {
	text := errorText(err)
	if t.unreadable == text {
		return
	}
	t.unreadable = text
	p.addEvent(unreadableEvent(p.now, t, state, text), nil, unreadableMessage)
}

// endContestIfOver ends the contest of a setting that had no drift for settleAfter.
func (p *pass) endContestIfOver(t *tracked, live sysfs.Value) {
	since, drifts := t.throttle.contestSince, t.throttle.contestDrifts
	if !t.throttle.endIfOver(p.now) {
		return
	}
	if t.status.State == Contested {
		t.status.State = InSync
		if t.drifting {
			t.status.State = Drifted
		}
	}
	p.addEvent(settingEvent(p.now, KindSettled, t, live), nil, settledMessage(drifts, p.now.Sub(since)))
}

// handleDrift records the drift of a setting, and repairs it unless mode, throttle or an earlier error
// prevent the write.
func (p *pass) handleDrift(t *tracked, change Change) {
	isNew := t.recordDrift(change.Found, p.causeOf(t), p.now)
	if isNew {
		p.newDrifts = append(p.newDrifts, t)
	}
	observe := p.keeper.adopted.Mode == Observe
	switch {
	case t.isWriteBlocked(p.now):
		t.status.State, t.status.Error = t.writeFailure.state, t.writeFailure.reported
		if isNew {
			p.addCountOnlyDrift(t, change.Found, ResultFailed, t.writeFailure.reported)
		}
		return
	case observe && !isNew:
		p.endContestIfOver(t, change.Found)
		return
	}
	repair, begins := p.decideRepair(t, isNew)
	switch {
	case begins:
		t.status.State = Contested
		p.addEvent(settingEvent(p.now, KindContested, t, change.Found), t, contestedMessage(nil))
	case repair && observe:
		e := settingEvent(p.now, KindDrift, t, change.Found)
		e.Result = ResultObserved
		p.addEvent(e, t, driftMessage)
	case repair:
		p.repair(t, change, isNew)
	case isNew:
		p.addCountOnlyDrift(t, change.Found, "", "")
	}
}

// addCountOnlyDrift adds the event of a drift that is counted and not logged.
func (p *pass) addCountOnlyDrift(t *tracked, found sysfs.Value, result Result, errText string) {
	e := settingEvent(p.now, KindDrift, t, found)
	e.Result, e.Error, e.CountOnly = result, errText, true
	p.addEvent(e, t, driftMessage)
}

// decideRepair reports whether to repair a drift now, and whether a contest begins with it. A drift
// after the start, a configuration change or a module load is not the work of another writer: it is
// repaired at once and never counts toward a contest.
func (p *pass) decideRepair(t *tracked, isNew bool) (repair, begins bool) {
	if isNew && (p.first || t.isNew || p.moduleChanged || t.wasPending) {
		return true, false
	}
	return t.throttle.allow(p.now)
}

// repair writes the wanted value and reads it back.
func (p *pass) repair(t *tracked, change Change, isNew bool) {
	kernel := p.keeper.opts.Kernel
	e := settingEvent(p.now, KindDrift, t, change.Found)
	e.Note = p.overfullNote(change)
	if err := kernel.Write(t.want.Setting, t.want.Value); err != nil {
		p.handleWriteError(t, e, err)
		return
	}
	live, err := kernel.Read(t.want.Setting)
	if err != nil {
		p.handleWriteError(t, e, err)
		return
	}
	e.Duration = Duration(time.Since(p.since))
	t.status.Live, t.writeFailure = live, writeFailure{}
	p.judgeRepair(t, &e, live)
	e.CountOnly = t.throttle.isContested()
	if isNew || e.Result == ResultRepaired {
		p.addEvent(e, t, driftMessage)
	}
}

// judgeRepair sets the result of a repair from the value that was read back.
func (p *pass) judgeRepair(t *tracked, e *Event, live sysfs.Value) {
	if t.want.Satisfied(live) {
		e.Result = ResultRepaired
		t.setRepaired(e.Duration)
		if !t.throttle.isContested() {
			t.status.State = InSync
		}
		return
	}
	// Another process wrote in between, or the kernel stored another value. The next pass repairs it
	// again, and the throttle limits the attempts.
	e.Result = ResultFailed
	e.Error = fmt.Sprintf("wrote %s, read back %s", t.want.Value, live)
	t.driftFound = live
	p.keeper.Wake(Write)
}

// handleWriteError handles the error of a write or of the read after it: no permission, the file is gone
// with its module, or another error.
func (p *pass) handleWriteError(t *tracked, e Event, err error) {
	switch {
	case sysfs.Forbidden(err):
		p.recordForbidden(t, err)
	case sysfs.Gone(err) && p.isGone(t):
		t.status.Live, t.status.State, t.drifting = sysfs.Value{}, Pending, false
		p.keeper.Wake(ModuleChange)
	case t.recordWriteFailure(Failed, err.Error(), p.now):
		e.Kind, e.Error, e.Result = KindFailed, err.Error(), ResultFailed
		p.addEvent(e, t, failedMessage)
	}
}

// isGone reports whether a setting's file is missing. The error of the write does not show it: the
// kernel returns ENOENT for some invalid values too.
func (p *pass) isGone(t *tracked) bool {
	_, err := p.keeper.opts.Kernel.Read(t.want.Setting)
	return sysfs.Gone(err)
}

// recordForbidden records a write that failed with a permission error. Settings with the same error
// and remedy share one event.
func (p *pass) recordForbidden(t *tracked, err error) {
	group := forbiddenGroup{errText: errorText(err), remedy: p.keeper.opts.Kernel.Remedy(t.want.Setting, err)}
	if !t.recordWriteFailure(Forbidden, group.errText+"; "+group.remedy, p.now) {
		return
	}
	i := slices.IndexFunc(p.forbidden, func(other forbiddenGroup) bool {
		return other.errText == group.errText && other.remedy == group.remedy
	})
	if i < 0 {
		i, p.forbidden = len(p.forbidden), append(p.forbidden, group)
	}
	p.forbidden[i].settings = append(p.forbidden[i].settings, t.want.Setting.Name)
}

// overfullNote returns a note for the event if the new max is below the number of tracked connections,
// and "" otherwise.
func (p *pass) overfullNote(change Change) string {
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
	case p.moduleChanged, t.wasPending: // the file can exist before the load is done
		return CauseModuleLoad
	case p.reasons.Has(Write | Guard):
		return CauseWrite
	default:
		return CauseResync
	}
}

// errorText returns the text of the errno in an error, "permission denied", or else the whole error.
func errorText(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
