package daemon

import (
	"time"

	"github.com/ctkeeper/ctkeeper/table"
)

// TableStatus is how the tables of connections and of expectations stand.
type TableStatus struct {
	table.Figures
	// LoadFactor is connections for each hash bucket; nil where one of them cannot be read.
	LoadFactor *float64 `json:"load_factor"`
	// Counters are those of table.Counters; without any where they cannot be read.
	Counters map[string]uint64 `json:"counters"`
	// State has no rates and no forecast without a daemon: one look has no trend.
	table.State
	// ByHelper counts the expectations by the helper that made them; nil where this
	// process may not read them.
	ByHelper map[string]int64 `json:"expectations_by_helper"`
	// KernelMessages counts, since the daemon's start, what the kernel said of full tables:
	// metrics.TableFull, metrics.ExpectationsFull. Nil where its log may not be read.
	KernelMessages map[string]int64 `json:"kernel_messages,omitzero"`
}

// tableLook is one look at all that the tables' files tell.
type tableLook struct {
	table.Sample
	helpers map[string]int64
}

func lookAtTable(root string, at time.Time) tableLook {
	helpers, _ := table.ExpectationsByHelper(root) // nil says that they cannot be read
	return tableLook{table.Take(root, at), helpers}
}

// status tells of the look, in the light of what was seen before it.
func (l tableLook) status(state table.State) TableStatus {
	s := TableStatus{Figures: l.Figures, Counters: map[string]uint64{}, State: state, ByHelper: l.helpers}
	if l.Counters != nil {
		s.Counters = l.Counters
	}
	if l.Entries != nil && l.Buckets != nil && *l.Buckets > 0 {
		load := float64(*l.Entries) / float64(*l.Buckets)
		s.LoadFactor = &load
	}
	return s
}

// LookAtTable tells how the tables below root stand, without a daemon's memory.
func LookAtTable(root string) TableStatus {
	look, monitor := lookAtTable(root, time.Now()), table.NewMonitor(1)
	monitor.Add(look.Sample)
	return look.status(monitor.State())
}

// LookAgain looks at the expectations where they are not known, of the system below
// root: they are for root's eyes, and the daemon is not root.
func (s *TableStatus) LookAgain(root string) {
	if s.Expectations != nil && s.ByHelper != nil {
		return
	}
	look := lookAtTable(root, time.Now())
	if s.Expectations == nil {
		s.Expectations = look.Expectations
	}
	if s.ByHelper == nil {
		s.ByHelper = look.helpers
	}
}
