package reconcile

import (
	"errors"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// follow takes over a reading, and says what is worth saying of it.
func (p *pass) follow(kp *keeping, state State, r Reading) {
	kp.follow(state, r)
	switch state {
	case InSync:
		p.calm(kp, r.Value)
	case Pending, Unsupported:
		kp.pace = pace{} // whoever fought over it, it is gone
	case Forbidden, Failed:
		p.unreadable(kp, state, r.Err)
	}
}

// unreadable says once that a setting cannot be read. It keeps nobody from
// repairing it when it can be again.
func (p *pass) unreadable(kp *keeping, state State, err error) {
	why := reasonOf(err)
	if kp.unreadable == why {
		return
	}
	kp.unreadable = why
	e := p.event(kp, "?")
	e.Kind, e.Cause, e.Error, e.Result = KindFailed, "", why, NotRepaired
	if state == Forbidden {
		e.Kind = KindForbidden
	}
	p.record(e, unreadable)
}

// calm ends a contest that has been over for long enough.
func (p *pass) calm(kp *keeping, found string) {
	since, drifts := kp.pace.since, kp.pace.drifts
	if !kp.pace.calm(p.now) {
		return
	}
	if kp.status.State == Contested {
		kp.status.State = InSync
		if kp.open {
			kp.status.State = Drifted
		}
	}
	e := p.event(kp, found)
	e.Kind = KindSettled
	p.record(e, func(e Event) string { return settled(e, drifts, p.now.Sub(since)) })
}

// handle deals with one setting that is not as wanted.
func (p *pass) handle(kp *keeping, change Change) {
	news := kp.newDrift(change.Found, p.causeOf(kp), p.now)
	if news {
		p.drifts = append(p.drifts, kp)
	}
	if kp.held(p.now) {
		kp.status.State, kp.status.Error = kp.refused.state, kp.refused.said
		if news {
			e := p.event(kp, change.Found)
			e.Result, e.Error, e.Quiet = NotRepaired, kp.refused.said, true
			p.recordDrift(kp, e, drifted)
		}
		return
	}
	if p.adopted.Mode == Observe && !news {
		p.calm(kp, change.Found)
		return
	}
	act, began := p.mayAct(kp, news)
	e := p.event(kp, change.Found)
	switch {
	case began:
		kp.status.State = Contested
		e.Kind = KindContested
		p.recordDrift(kp, e, func(e Event) string { return contested(e, kp.rivalsAt(p.now)) })
	case act && p.adopted.Mode == Observe:
		e.Result = Observed
		p.recordDrift(kp, e, drifted)
	case act:
		p.repair(kp, change, e, news)
	case news:
		e.Quiet = true
		p.recordDrift(kp, e, drifted)
	}
}

// mayAct asks the setting's pace. What came with the start, a configuration or a
// load has no writer to fight with: it is repaired at once and
// counts for no contest, however often the module is loaded.
func (p *pass) mayAct(kp *keeping, news bool) (act, began bool) {
	if news && (p.first || kp.fresh || p.moved || kp.absent) {
		return true, false
	}
	return kp.pace.drift(p.now)
}

// repair writes the wanted value and reads it back.
func (p *pass) repair(kp *keeping, change Change, e Event, news bool) {
	e.Note = p.overfull(change)
	if err := p.opts.Kernel.Write(kp.want.Setting, kp.want.Value); err != nil {
		p.couldNot(kp, e, err)
		return
	}
	now, err := p.opts.Kernel.Read(kp.want.Setting)
	if err != nil {
		p.couldNot(kp, e, err)
		return
	}
	e.Duration = Duration(time.Since(p.since))
	kp.status.Now, kp.refused = now, refusal{}
	if kp.want.Satisfied(now) {
		e.Result = Repaired
		kp.open = false
		kp.status.LastDrift.RepairedIn = e.Duration
		if !kp.pace.contested() {
			kp.status.State = InSync
		}
	} else {
		// Somebody was faster, or the kernel keeps another value: the next pass
		// sees which, and the pace bounds how often it tries.
		e.Result, e.Error = NotRepaired, "after writing "+kp.want.Value+" the kernel shows "+now
		kp.openFound = now
		p.Wake(Write)
	}
	e.Quiet = kp.pace.contested()
	if news || e.Result == Repaired {
		p.recordDrift(kp, e, drifted)
	}
}

// couldNot sorts a failed write: no right to, gone with the module, or refused.
func (p *pass) couldNot(kp *keeping, e Event, err error) {
	switch {
	case sysfs.Forbidden(err):
		p.forbid(kp, err)
	case sysfs.Gone(err) && p.gone(kp):
		kp.status.Now, kp.status.State, kp.open = "", Pending, false
		p.Wake(ModuleMoved)
	case kp.refuse(Failed, err.Error(), p.now):
		e.Kind, e.Error, e.Result = KindFailed, err.Error(), NotRepaired
		p.recordDrift(kp, e, failed)
	}
}

// gone reports whether a setting's file is not there: a write may answer ENOENT
// for its value as well.
func (p *pass) gone(kp *keeping) bool {
	_, err := p.opts.Kernel.Read(kp.want.Setting)
	return sysfs.Gone(err)
}

// forbid notes a want of rights; settings that lack them for the same reason
// are said in one event.
func (p *pass) forbid(kp *keeping, err error) {
	d := denial{why: reasonOf(err)}
	if p.opts.WayOut != nil {
		d.wayOut = p.opts.WayOut(kp.want.Setting, err)
	}
	if !kp.refuse(Forbidden, d.why+"; "+d.wayOut, p.now) {
		return
	}
	i := slices.IndexFunc(p.denials, func(other denial) bool { return other.why == d.why && other.wayOut == d.wayOut })
	if i < 0 {
		i, p.denials = len(p.denials), append(p.denials, d)
	}
	p.denials[i].names = append(p.denials[i].names, kp.want.Setting.Name)
}

// overfull warns when a new max is below the present number of connections.
func (p *pass) overfull(change Change) string {
	if change.Want.Setting.Name != "max" || p.opts.Count == nil || change.Want.Raises(change.Found) {
		return ""
	}
	count, err := p.opts.Count()
	limit, perr := strconv.ParseInt(change.Want.Value, 10, 64)
	if err != nil || perr != nil || limit == 0 || count <= limit {
		return ""
	}
	return "the table holds " + strconv.FormatInt(count, 10) + " connections, more than the new max: new ones are dropped until there are fewer"
}

func (p *pass) causeOf(kp *keeping) Cause {
	switch {
	case p.first:
		return CauseStart
	case kp.fresh:
		return CauseConfig
	case p.moved, kp.absent: // its file may be there before the load is done
		return CauseModuleLoad
	case p.reasons.Has(Write | Guard):
		return CauseWrite
	default:
		return CauseResync
	}
}

func (p *pass) event(kp *keeping, found string) Event {
	return Event{At: p.now, Kind: KindDrift, Setting: kp.want.Setting.Name, Want: kp.want.String(), Found: found, Cause: kp.cause}
}

// reasonOf is the kernel's own word in an error: "permission denied".
func reasonOf(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
