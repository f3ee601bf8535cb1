package reconcile

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Kind is what an Event tells (contract 1.4, CTKEEPER_EVENT).
type Kind string

// The kinds of event that passes record, and of one that the table's figures make.
const (
	KindDrift        Kind = "drift"
	KindContested    Kind = "contested"
	KindSettled      Kind = "settled"
	KindModuleLoad   Kind = "module-load"
	KindModuleUnload Kind = "module-unload"
	KindFailed       Kind = "failed"
	KindForbidden    Kind = "forbidden"
	// KindTablePressure is a table that fills, overflows, or has room again.
	KindTablePressure Kind = "table-pressure"
	// KindRefusedWrite is a foreign write that the guard refused.
	KindRefusedWrite Kind = "refused-write"
)

// Cause is what made a setting drift, as far as ctkeeper can tell.
type Cause string

// The causes of a drift.
const (
	CauseStart      Cause = "start"
	CauseConfig     Cause = "config"
	CauseModuleLoad Cause = "module-load"
	CauseWrite      Cause = "write"
	CauseResync     Cause = "resync"
)

// Result is what was done about a drift.
type Result string

// The results of a drift.
const (
	Repaired    Result = "repaired"
	Observed    Result = "observed"
	NotRepaired Result = "failed"
)

// Event is one thing that happened, for the journal, the history and the
// metrics.
type Event struct {
	At       time.Time `json:"at"`
	Kind     Kind      `json:"event"`
	Setting  string    `json:"setting,omitempty"` // several are joined by commas
	Want     string    `json:"want,omitempty"`
	Found    string    `json:"found,omitempty"`
	Result   Result    `json:"result,omitempty"`
	Cause    Cause     `json:"cause,omitempty"`
	Duration Duration  `json:"duration,omitzero"` // from the wake to the value read back
	Error    string    `json:"error,omitempty"`
	// By is who did it: wrote the value that was found, loaded or unloaded the module, was
	// refused. Nil where that is not known.
	By *sysfs.Writer `json:"by,omitempty"`
	// Table is "connections" or "expectations" and Level how full it is, in table's words;
	// Dropping says that packets are dropped for want of room. Entries of Limit are in it.
	Table    string `json:"table,omitempty"`
	Level    string `json:"level,omitempty"`
	Dropping bool   `json:"dropping,omitzero"`
	Entries  int64  `json:"entries,omitzero"`
	Limit    int64  `json:"limit,omitzero"`
	// Note is a warning that belongs to the change.
	Note string `json:"note,omitempty"`
	// Message says it all in one sentence.
	Message string `json:"message"`
	// Quiet is true for drifts within a contest: they count, and are not said
	// one by one.
	Quiet bool `json:"-"`
}

// Recorder is told of every event, in order, after the pass has written.
type Recorder interface {
	Record(Event)
}

// drifted completes the event of a drift.
func drifted(e Event) Event {
	e.Kind = KindDrift
	was := fmt.Sprintf("%s was %s, wanted %s", e.Setting, e.Found, e.Want)
	switch e.Result {
	case Repaired:
		e.Message = fmt.Sprintf("%s: repaired in %s (cause: %s)", was, e.Duration, e.Cause)
	case Observed:
		e.Message = fmt.Sprintf("%s: left alone, mode is observe (cause: %s)", was, e.Cause)
	default:
		e.Message = fmt.Sprintf("%s: not repaired (cause: %s): %s", was, e.Cause, e.Error)
	}
	if e.Note != "" {
		e.Message += "; " + e.Note
	}
	return e
}

func contested(e Event) Event {
	e.Kind = KindContested
	e.Message = fmt.Sprintf("%s is contested: another writer keeps changing it (or the kernel does not keep it), last to %s; wanted %s. Repairing it less often now, at least every %s",
		e.Setting, e.Found, e.Want, maxDelay)
	return e
}

func settled(e Event, drifts int, lasted time.Duration) Event {
	e.Kind = KindSettled
	e.Message = fmt.Sprintf("%s has settled at %s: %d more foreign changes seen in %s, none in the last %s",
		e.Setting, e.Found, drifts, lasted.Round(time.Second), settleAfter)
	return e
}

func failed(e Event) Event {
	e.Kind = KindFailed
	e.Result = NotRepaired
	e.Message = fmt.Sprintf("%s was %s, wanted %s: the kernel refused it: %s", e.Setting, e.Found, e.Want, e.Error)
	return e
}

func unreadable(e Event, state State) Event {
	e.Kind, e.Result = KindFailed, NotRepaired
	if state == Forbidden {
		e.Kind = KindForbidden
	}
	e.Message = fmt.Sprintf("%s cannot be read: %s", e.Setting, e.Error)
	return e
}

func moduleMoved(at time.Time, kind Kind, name string) Event {
	e := Event{At: at, Kind: kind, Message: name + " was loaded"}
	if kind == KindModuleUnload {
		e.Message = name + " was unloaded: its settings are gone until it is loaded again"
	}
	return e
}

func forbidden(at time.Time, names []string, why, wayOut string) Event {
	joined := strings.Join(names, ",")
	return Event{
		At: at, Kind: KindForbidden, Setting: joined, Error: why, Result: NotRepaired,
		Message: fmt.Sprintf("cannot enforce %s: %s; %s", strings.ReplaceAll(joined, ",", ", "), why, wayOut),
	}
}
