package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// A drift is attributed to an event since the begin of the previous pass, or up to one slack before it.
// The guard reports a write before its value can be read: filling a large hash table takes a second
// or more. It reports a load before the module's files exist.
const (
	writeSlack  = 4 * time.Second
	moduleSlack = 5 * time.Second
)

// eventDraft is an event without its message. Messages are made at the end of the pass, after all
// writes: no write waits for the lookup of a writer, which the message names.
type eventDraft struct {
	Event
	drifted *tracked // the setting whose drift it reports, or nil
	message func(Event) string
}

func (p *pass) addEvent(e Event, drift *tracked, message func(Event) string) {
	p.events = append(p.events, eventDraft{e, drift, message})
}

// attribute looks up the processes that caused the drifts and module changes of the pass, and makes
// the messages of its events.
func (p *pass) attribute() {
	if p.keeper.opts.Attributor != nil {
		for _, t := range p.newDrifts {
			p.attributeDrift(t)
		}
		for i := range p.events {
			p.attributeEvent(&p.events[i])
		}
	}
	for i := range p.events {
		e := &p.events[i]
		e.Message = e.message(e.Event)
	}
}

// attributeDrift looks up the process that caused a new drift. A drift that the first pass or a
// configuration change found has no writer.
func (p *pass) attributeDrift(t *tracked) {
	drift := t.status.LastDrift // made in this pass and not in a Report yet, thus it may be changed
	switch t.cause {
	case CauseModuleLoad:
		drift.By = p.moduleChanger(true)
	case CauseWrite, CauseResync:
		drift.By = p.writerOf(t, drift.Found)
		if drift.By != nil {
			t.cause, drift.Cause = CauseWrite, CauseWrite
			t.addWriter(drift.By, p.now)
		}
	}
}

// attributeEvent sets the process that caused an event. The writer of the last drift is the right one
// only for an event with the value of that drift: the event has another value where another process
// wrote between the read and the repair, and its writer is looked up separately.
func (p *pass) attributeEvent(e *eventDraft) {
	switch {
	case e.Kind == KindModuleLoad:
		e.By = p.moduleChanger(true)
	case e.Kind == KindModuleUnload:
		e.By = p.moduleChanger(false)
	case e.drifted != nil:
		t := e.drifted
		e.Cause = t.cause
		if drift := t.status.LastDrift; drift.Found == e.Found {
			e.By = drift.By
		} else if e.Cause == CauseWrite {
			e.By = p.writerOf(t, e.Found)
		}
		if writers := t.recentWriters(p.now); e.Kind == KindContested {
			e.message = contestedMessage(writers)
			if e.By == nil && len(writers) > 0 {
				e.By = writers[0]
			}
		}
	}
}

func (p *pass) writerOf(t *tracked, found sysfs.Value) *sysfs.Writer {
	return p.keeper.opts.Attributor.WriterOf(t.want.Setting, found, p.previous.Add(-writeSlack))
}

// moduleChanger returns the process that loaded or unloaded the module since the previous pass. It
// calls the Attributor once in a pass.
func (p *pass) moduleChanger(loaded bool) *sysfs.Writer {
	by, known := p.moduleChangers[loaded]
	if !known {
		if p.moduleChangers == nil {
			p.moduleChangers = map[bool]*sysfs.Writer{}
		}
		by = p.keeper.opts.Attributor.ModuleChanger(loaded, p.previous.Add(-moduleSlack))
		p.moduleChangers[loaded] = by
	}
	return by
}
