package status

import (
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

// Severity is how bad something is. All views show it in the same colours. Problems are critical or warnings, as
// alerts are.
type Severity string

// The severities, from the best to the worst.
const (
	// Good: as wanted.
	Good Severity = "good"
	// Notice: not wrong, as a setting that this kernel does not have.
	Notice Severity = "notice"
	// Warning: it may become critical, or something works less well than it is configured to.
	Warning Severity = "warning"
	// Critical: something is lost, or a value is not kept.
	Critical Severity = "critical"
)

// SettingSeverity returns how bad the state of a setting is.
func SettingSeverity(state reconcile.State, mode reconcile.Mode) Severity {
	switch state {
	case reconcile.InSync:
		return Good
	case reconcile.Pending, reconcile.Unsupported:
		return Notice
	case reconcile.Drifted:
		if mode == reconcile.Observe {
			return Warning
		}
	}
	return Critical
}

// TableSeverity returns how bad the condition of a table is.
func TableSeverity(c table.Condition) Severity {
	switch {
	case c.Level == table.Critical || c.Loss == table.Dropping || c.Loss == table.Refusing:
		return Critical
	case c.Level == table.High || c.Loss == table.Evicting: // nothing is dropped by an eviction
		return Warning
	}
	return Good
}

// ParameterSeverity returns how bad the state of a module parameter is.
func ParameterSeverity(state ParameterState) Severity {
	switch state {
	case ParameterInSync:
		return Good
	case ParameterNeedsReload:
		return Warning
	}
	return Notice
}

// EventSeverity returns the severity of what an event reports.
func EventSeverity(e reconcile.Event) Severity {
	switch e.Kind {
	case reconcile.KindContested, reconcile.KindFailed, reconcile.KindForbidden:
		return Critical
	case reconcile.KindDrift:
		if e.Result == reconcile.ResultFailed {
			return Critical
		}
		return Warning
	case reconcile.KindConfigRefused, reconcile.KindRefusedWrite, reconcile.KindAbsorbedWrite:
		return Warning
	case reconcile.KindTablePressure:
		return TableSeverity(table.Condition{Level: table.Level(e.Level), Loss: table.Loss(e.Loss)})
	case reconcile.KindSettled:
		return Good
	}
	return Notice
}
