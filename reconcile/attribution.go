package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// A drift is attributed to what happened since the last pass that did not find it, and somewhat
// before: a write is reported before its value can be read (filling a large hash table takes a
// second or more), a load before the module's files exist.
const (
	writeSlack  = 4 * time.Second
	moduleSlack = 5 * time.Second
)

// pendingEvent is an event without its message. Messages are made at the end of the pass: no
// write waits for a log, nor for the lookup of the writer that the message names.
type pendingEvent struct {
	Event
	drift   *tracked // the setting whose drift it reports, or nil
	message func(Event) string
}

func (p *pass) add(e Event, drift *tracked, message func(Event) string) {
	p.events = append(p.events, pendingEvent{e, drift, message})
}

// attribute looks up who caused what the pass found, and makes the messages of its events.
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

// attributeDrift looks up who caused a new drift. A drift that the start or a configuration
// brought has no writer.
func (p *pass) attributeDrift(t *tracked) {
	drift := t.status.LastDrift // new in this pass, and not published yet
	switch t.cause {
	case CauseModuleLoad:
		drift.By = p.moduleChangedBy(true)
	case CauseWrite, CauseResync:
		drift.By = p.writerOf(t, drift.Found)
		if drift.By != nil {
			t.cause, drift.Cause = CauseWrite, CauseWrite
			t.addWriter(drift.By, p.now)
		}
	}
}

// attributeEvent fills in who caused an event. A drift's writer belongs to the value that was
// found then: where another writer was faster than the repair, the event is about another value.
func (p *pass) attributeEvent(e *pendingEvent) {
	switch {
	case e.Kind == KindModuleLoad:
		e.By = p.moduleChangedBy(true)
	case e.Kind == KindModuleUnload:
		e.By = p.moduleChangedBy(false)
	case e.drift != nil:
		t := e.drift
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
	return p.keeper.opts.Attributor.WriterOf(t.want.Setting, found, p.before.Add(-writeSlack))
}

// moduleChangedBy returns who loaded or unloaded the module since the last pass. It asks once.
func (p *pass) moduleChangedBy(loaded bool) *sysfs.Writer {
	by, known := p.moduleBy[loaded]
	if !known {
		if p.moduleBy == nil {
			p.moduleBy = map[bool]*sysfs.Writer{}
		}
		by = p.keeper.opts.Attributor.ModuleChangedBy(loaded, p.before.Add(-moduleSlack))
		p.moduleBy[loaded] = by
	}
	return by
}
