package reconcile

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Kind is what an Event tells (contract 1.4, CTKEEPER_EVENT).
type Kind string

// The kinds of event that passes record, and of those that the table's figures and the guard
// make.
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
	// Value is what a refused write would have set, as far as it is known.
	Value string `json:"value,omitempty"`
	// By is who did it: wrote the value that was found, loaded or unloaded the module, was
	// refused. Nil where that is not known; shared, and so never changed.
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

// The sentences of events. They are made when the pass is over, because they name who did it.

// was says which value was found, and who it came from.
func was(e Event) string {
	switch {
	case e.By == nil:
		return fmt.Sprintf("%s was %s, wanted %s", e.Setting, e.Found, e.Want)
	case e.Cause == CauseModuleLoad:
		return fmt.Sprintf("%s was %s after %s loaded the module, wanted %s", e.Setting, e.Found, e.By, e.Want)
	default:
		return fmt.Sprintf("%s was set to %s by %s, wanted %s", e.Setting, e.Found, e.By, e.Want)
	}
}

func drifted(e Event) string {
	var said string
	switch e.Result {
	case Repaired:
		said = fmt.Sprintf("%s: repaired in %s (cause: %s)", was(e), e.Duration, e.Cause)
	case Observed:
		said = fmt.Sprintf("%s: left alone, mode is observe (cause: %s)", was(e), e.Cause)
	default:
		said = fmt.Sprintf("%s: not repaired (cause: %s): %s", was(e), e.Cause, e.Error)
	}
	if e.Note != "" {
		said += "; " + e.Note
	}
	return said
}

func contested(e Event, rivals []rival) string {
	who := "another writer keeps changing it (or the kernel does not keep it)"
	switch len(rivals) {
	case 0:
	case 1:
		who = rivals[0].by.String() + " keeps changing it"
	default:
		who = rivals[0].by.String() + " and " + rivals[1].by.String() + " keep changing it"
	}
	return fmt.Sprintf("%s is contested: %s, last to %s; wanted %s. Repairing it less often now, at least every %s",
		e.Setting, who, e.Found, e.Want, maxDelay)
}

func settled(e Event, drifts int, lasted time.Duration) string {
	return fmt.Sprintf("%s has settled at %s: %d more foreign changes seen in %s, none in the last %s",
		e.Setting, e.Found, drifts, lasted.Round(time.Second), settleAfter)
}

func failed(e Event) string {
	return fmt.Sprintf("%s: the kernel refused it: %s", was(e), e.Error)
}

func unreadable(e Event) string {
	return fmt.Sprintf("%s cannot be read: %s", e.Setting, e.Error)
}

func moduleMoved(e Event, module string) string {
	said := module + " was loaded"
	if e.Kind == KindModuleUnload {
		said = module + " was unloaded"
	}
	if e.By != nil {
		said += " by " + e.By.String()
	}
	if e.Kind == KindModuleUnload {
		said += ": its settings are gone until it is loaded again"
	}
	return said
}

func forbidden(e Event, wayOut string) string {
	return fmt.Sprintf("cannot enforce %s: %s; %s", strings.ReplaceAll(e.Setting, ",", ", "), e.Error, wayOut)
}

// RefusedWrite is the event of a foreign write that the guard refused, for a Recorder. want is
// a sysfs.Want's String; value is what would have been written, printable, and empty where that
// is not known; by may be nil.
func RefusedWrite(at time.Time, setting, want, value string, by *sysfs.Writer) Event {
	e := Event{At: at, Kind: KindRefusedWrite, Setting: setting, Want: want, Value: value, By: by}
	who, to := "somebody", ""
	if by != nil {
		who = by.String()
	}
	if value != "" {
		to = " to " + value
	}
	e.Message = fmt.Sprintf("refused to let %s set %s%s: the guard is locked, wanted %s", who, setting, to, want)
	return e
}
