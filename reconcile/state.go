package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// State is where a setting stands (contract 1.3).
type State string

// The states of a setting.
const (
	InSync      State = "in-sync"
	Drifted     State = "drifted"     // differs, and is not repaired (observe mode) or not yet
	Pending     State = "pending"     // the module is absent
	Contested   State = "contested"   // another writer keeps changing it
	Unsupported State = "unsupported" // this kernel has no such file
	Forbidden   State = "forbidden"   // this process may not set it, in this place
	Failed      State = "failed"      // the kernel refused the value
)

// Mode says whether passes write.
type Mode string

// The modes of enforcement.
const (
	Enforce Mode = "enforce"
	Observe Mode = "observe"
)

// Desired is what a configuration asks for. It is swapped whole and never
// changed once given to a Keeper.
type Desired struct {
	Wants []sysfs.Want
	Mode  Mode
	// Resync is how often to look without being told. 0 is never.
	Resync time.Duration
}

// Module is the state of nf_conntrack as reconcile needs it; see kmod.Module.
type Module struct {
	State    string
	Present  bool
	Instance uint64
	Settling bool
}

// Drift is a setting's last drift, as status shows it.
type Drift struct {
	At    time.Time `json:"at"`
	Found string    `json:"found"`
	Cause Cause     `json:"cause"`
	// By is who wrote it, or who loaded the module; nil where that is not known. It is shared,
	// and so never changed.
	By         *sysfs.Writer `json:"by,omitempty"`
	RepairedIn Duration      `json:"repaired_in,omitzero"`
}

// Standing is how one wanted setting stands; its JSON is contract 1.3, without
// the history.
type Standing struct {
	Name   string       `json:"name"`
	Want   string       `json:"want"`
	Policy sysfs.Policy `json:"policy"`
	Now    string       `json:"now"`
	State  State        `json:"state"`
	Error  string       `json:"error"`
	Origin string       `json:"origin"`
}

// Setting is how one wanted setting stands, and its history.
type Setting struct {
	Standing
	Drifts    int    `json:"drifts"`
	LastDrift *Drift `json:"last_drift,omitempty"`
}

// Report is where everything stood at the end of the last pass.
type Report struct {
	At       time.Time
	Mode     Mode
	Module   Module
	Loads    int // loads of the module seen since the start
	Settings []Setting
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
		s.add(setting.State)
	}
	return s
}

func (s *Summary) add(state State) {
	switch state {
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

// Differs reports whether any setting is known not to be as wanted.
func (s Summary) Differs() bool { return s.Drifted+s.Contested+s.Forbidden+s.Failed > 0 }

// Duration is a time.Duration that is written as text: "1.2ms".
type Duration time.Duration

// MarshalText writes the duration as time.Duration.String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// String is the duration in three digits at most: "1.23ms".
func (d Duration) String() string {
	t := time.Duration(d)
	unit := time.Duration(1)
	for t/unit >= 1000 {
		unit *= 10
	}
	return t.Round(unit).String()
}
