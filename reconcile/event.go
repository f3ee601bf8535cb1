package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Kind is the kind of an Event (contract 1.4, CTKEEPER_EVENT).
type Kind string

// The kinds of event.
const (
	// KindDrift: a live value did not satisfy its want.
	KindDrift Kind = "drift"
	// KindContested: a contest begins. Another writer keeps changing a setting; from now on each
	// repair waits longer than the one before it.
	KindContested Kind = "contested"
	// KindSettled: a contest has ended, after 10 s without a drift.
	KindSettled Kind = "settled"
	// KindModuleLoad and KindModuleUnload: nf_conntrack was loaded or unloaded.
	KindModuleLoad   Kind = "module-load"
	KindModuleUnload Kind = "module-unload"
	// KindFailed: a value was not written, or a setting cannot be read.
	KindFailed Kind = "failed"
	// KindForbidden: this process may not read or may not write settings, in this namespace or
	// container.
	KindForbidden Kind = "forbidden"
	// KindConfigLoaded and KindConfigRefused: a configuration was read, and is applied or has an error.
	KindConfigLoaded  Kind = "config-loaded"
	KindConfigRefused Kind = "config-refused"
	// KindTablePressure: a table fills up, overflows, or has room again.
	KindTablePressure Kind = "table-pressure"
	// KindRefusedWrite: the guard refused a foreign write. KindAbsorbedWrite: it let one succeed without
	// effect. Both are blocked writes.
	KindRefusedWrite  Kind = "refused-write"
	KindAbsorbedWrite Kind = "absorbed-write"
)

// Kinds returns every kind of event.
func Kinds() []Kind {
	return []Kind{
		KindDrift, KindContested, KindSettled, KindModuleLoad, KindModuleUnload, KindFailed, KindForbidden,
		KindConfigLoaded, KindConfigRefused, KindTablePressure, KindRefusedWrite, KindAbsorbedWrite,
	}
}

// IsBlockedWrite reports whether the guard blocked a foreign write.
func (k Kind) IsBlockedWrite() bool { return k == KindRefusedWrite || k == KindAbsorbedWrite }

// Cause is the cause of a drift, as far as it is known.
type Cause string

// The causes of a drift.
const (
	// CauseStart: the first pass of the daemon found it.
	CauseStart Cause = "start"
	// CauseConfig: the configuration wants another value than before.
	CauseConfig Cause = "config"
	// CauseModuleLoad: the module was loaded with other values.
	CauseModuleLoad Cause = "module-load"
	// CauseWrite: another process wrote the setting.
	CauseWrite Cause = "write"
	// CauseResync: a regular pass found it, without an event before.
	CauseResync Cause = "resync"
)

// Causes returns every cause.
func Causes() []Cause {
	return []Cause{CauseStart, CauseConfig, CauseModuleLoad, CauseWrite, CauseResync}
}

// Result is the outcome of a drift, a refused configuration, or a failed read or write.
type Result string

// The results.
const (
	ResultRepaired Result = "repaired"
	ResultObserved Result = "observed" // mode is observe
	ResultFailed   Result = "failed"
)

// Results returns every result.
func Results() []Result { return []Result{ResultRepaired, ResultObserved, ResultFailed} }

// Event is one entry of the journal and the history, and increments the metrics once. Its kind
// determines which fields are set.
type Event struct {
	At   time.Time `json:"at"`
	Kind Kind      `json:"event"`
	// Setting is the name of the setting; Settings has the names where there are several.
	Setting  string       `json:"setting,omitempty"`
	Settings []string     `json:"settings,omitempty"`
	Policy   sysfs.Policy `json:"policy,omitempty"`
	Want     sysfs.Value  `json:"want,omitzero"`
	Found    sysfs.Value  `json:"found,omitzero"`
	Result   Result       `json:"result,omitempty"`
	Cause    Cause        `json:"cause,omitempty"`
	// Duration is the time from the wake to the value read back.
	Duration Duration `json:"duration_seconds,omitzero"`
	Error    string   `json:"error,omitempty"`
	// Value is the text of a blocked write; empty where it is not known.
	Value string `json:"value,omitempty"`
	// By is the process that wrote the value, changed the module, or whose write was blocked; nil
	// where it is not known. It must not be changed.
	By *sysfs.Writer `json:"by,omitempty"`
	Pressure
	// Note is a warning about the change, or what to do about it.
	Note string `json:"note,omitempty"`
	// Message is the whole event in one sentence.
	Message string `json:"message"`
	// CountOnly events increment the metrics. They are not logged and not written to the history.
	CountOnly bool `json:"-"`
}

// Pressure describes a table in an event of KindTablePressure.
type Pressure struct {
	// Table is "connections" or "expectations".
	Table string `json:"table,omitempty"`
	// Level is how full it is; see table.Level.
	Level string `json:"level,omitempty"`
	// Loss is what the kernel does because the table is full; see table.Loss.
	Loss    string `json:"loss,omitempty"`
	Entries int64  `json:"entries,omitzero"`
	Limit   int64  `json:"limit,omitzero"`
}

// SettingNames returns the names of the event's settings.
func (e Event) SettingNames() []string {
	if e.Setting != "" {
		return []string{e.Setting}
	}
	return e.Settings
}

// WantText returns the want as text: "1048576", "at_least 65536". It is empty where the event has
// none.
func (e Event) WantText() string { return e.Policy.Of(e.Want) }

// ConfigLoadedEvent returns the event of a configuration that was accepted.
func ConfigLoadedEvent(at time.Time, note, message string) Event {
	return Event{At: at, Kind: KindConfigLoaded, Note: note, Message: message}
}

// ConfigRefusedEvent returns the event of a configuration that was refused with err.
func ConfigRefusedEvent(at time.Time, err error, message string) Event {
	return Event{At: at, Kind: KindConfigRefused, Error: err.Error(), Result: ResultFailed, Message: message}
}

// TablePressureEvent returns the event of a table that fills up, overflows, or has room again.
func TablePressureEvent(at time.Time, pressure Pressure, message string) Event {
	return Event{At: at, Kind: KindTablePressure, Pressure: pressure, Message: message}
}

// BlockedWriteEvent returns the event of a foreign write that the guard blocked. value is the text of the
// write, printable, and empty where it is not known; by may be nil.
func BlockedWriteEvent(at time.Time, kind Kind, want sysfs.Want, value string, by *sysfs.Writer) Event {
	e := Event{
		At: at, Kind: kind, Setting: want.Setting.Name, Policy: want.Policy, Want: want.Value,
		Value: value, By: by,
	}
	if kind == KindAbsorbedWrite && want.Origin.File != "" { // its writer got no error
		e.Note = "to change the value, edit " + want.Origin.String()
	}
	e.Message = blockedWriteMessage(e)
	return e
}

// settingEvent returns the event of a drift, of a contest or of its end.
func settingEvent(at time.Time, kind Kind, t *tracked, found sysfs.Value) Event {
	return Event{
		At: at, Kind: kind, Setting: t.want.Setting.Name, Policy: t.want.Policy, Want: t.want.Value,
		Found: found, Cause: t.cause,
	}
}

// unreadableEvent returns the event of a setting that cannot be read.
func unreadableEvent(at time.Time, t *tracked, state State, errText string) Event {
	e := settingEvent(at, KindFailed, t, sysfs.Value{})
	if state == Forbidden {
		e.Kind = KindForbidden
	}
	e.Cause, e.Error, e.Result = "", errText, ResultFailed
	return e
}

func moduleEvent(at time.Time, kind Kind) Event { return Event{At: at, Kind: kind} }

// forbiddenEvent returns the event of settings whose writes failed with the same permission error.
func forbiddenEvent(at time.Time, group forbiddenGroup) Event {
	e := Event{At: at, Kind: KindForbidden, Error: group.errText, Result: ResultFailed}
	if len(group.settings) == 1 {
		e.Setting = group.settings[0]
	} else {
		e.Settings = group.settings
	}
	return e
}
