package reconcile

import (
	"encoding/json"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// State is the state of a setting (contract 1.3). The package documentation has the transitions.
type State string

// The states of a setting.
const (
	// InSync: the live value satisfies the want.
	InSync State = "in-sync"
	// Drifted: the live value differs and is not repaired, in mode observe, or not yet.
	Drifted State = "drifted"
	// Pending: the setting's file is missing because its module is absent.
	Pending State = "pending"
	// Contested: another writer keeps changing the setting.
	Contested State = "contested"
	// Unsupported: this kernel has no such file.
	Unsupported State = "unsupported"
	// Forbidden: this process may not read or may not write the setting, in this namespace or container.
	Forbidden State = "forbidden"
	// Failed: the kernel refused the value, or reading the file failed with another error than those above.
	Failed State = "failed"
)

// States returns every state.
func States() []State {
	return []State{InSync, Drifted, Pending, Contested, Unsupported, Forbidden, Failed}
}

// Comparison is a setting's want beside its live value. Its JSON is contract 1.3 without the
// history.
type Comparison struct {
	Name   string       `json:"setting"`
	Policy sysfs.Policy `json:"policy"`
	Want   sysfs.Value  `json:"want"`
	// Live is null where the value could not be read.
	Live  sysfs.Value `json:"live"`
	State State       `json:"state"`
	Error string      `json:"error"`
	// MemoryBytes is what Want costs in bytes of kernel memory when the table is full.
	MemoryBytes int64      `json:"memory_bytes,omitzero"`
	Origin      tree.Place `json:"origin"`
}

// SettingStatus is a Comparison and the setting's history since the start of the daemon.
type SettingStatus struct {
	Comparison
	// Since is when the setting got its State.
	Since     time.Time `json:"since,omitzero"`
	Drifts    int       `json:"drifts"`
	LastDrift *Drift    `json:"last_drift,omitempty"`
}

// Drift is a setting's last drift. It must not be changed.
type Drift struct {
	At    time.Time   `json:"at"`
	Found sysfs.Value `json:"found"`
	Cause Cause       `json:"cause"`
	// RepairedIn is the time from the wake to the value read back, 0 where it was not repaired.
	RepairedIn Duration `json:"repaired_seconds,omitzero"`
	// By is the process that wrote the value, or loaded the module; nil where it is not known.
	By *sysfs.Writer `json:"by,omitempty"`
}

// Report is the result of the last pass. It must not be changed.
type Report struct {
	Mode   Mode
	Module Module
	// Loads is the number of loads of the module since the start.
	Loads    int
	Settings []SettingStatus
}

// Summary counts a report's settings by state.
type Summary struct {
	Module                                           Module
	Mode                                             Mode
	Settings                                         int
	InSync, Drifted, Pending, Contested, Unsupported int
	Forbidden, Failed                                int
}

// Summary counts the report's settings by state.
func (r Report) Summary() Summary {
	s := Summary{Module: r.Module, Mode: r.Mode, Settings: len(r.Settings)}
	for _, setting := range r.Settings {
		switch setting.State {
		case InSync:
			s.InSync++
		case Drifted:
			s.Drifted++
		case Pending:
			s.Pending++
		case Contested:
			s.Contested++
		case Unsupported:
			s.Unsupported++
		case Forbidden:
			s.Forbidden++
		case Failed:
			s.Failed++
		}
	}
	return s
}

// Differs reports whether any setting is drifted, contested, forbidden or failed. Pending and
// unsupported settings do not count: they have no file to write.
func (s Summary) Differs() bool { return s.Drifted+s.Contested+s.Forbidden+s.Failed > 0 }

// Duration is a time.Duration. In JSON it is a number of seconds.
type Duration time.Duration

// MarshalJSON writes seconds.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).Seconds()) }

// UnmarshalJSON reads seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	var seconds float64
	err := json.Unmarshal(data, &seconds)
	*d = Duration(seconds * float64(time.Second))
	return err
}

// String is the duration with three digits at most: "1.23ms".
func (d Duration) String() string {
	t := time.Duration(d)
	unit := time.Duration(1)
	for t/unit >= 1000 {
		unit *= 10
	}
	return t.Round(unit).String()
}
