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

// tableStatus tells of a sample, in the light of what was seen before it.
func tableStatus(s table.Sample, state table.State) TableStatus {
	status := TableStatus{Figures: s.Figures, LoadFactor: s.LoadFactor(), Counters: s.Counters, State: state, ByHelper: s.ByHelper}
	if status.Counters == nil {
		status.Counters = map[string]uint64{}
	}
	return status
}

// LookAtTable tells how the tables below root stand, without a daemon's memory.
func LookAtTable(root string) TableStatus {
	sample, monitor := table.Take(root, time.Now()), table.NewMonitor(1)
	monitor.Add(sample)
	return tableStatus(sample, monitor.State())
}

// LookAgain looks at the expectations where they are not known, of the system below
// root: they are for root's eyes, and the daemon is not root.
func (s *TableStatus) LookAgain(root string) {
	if s.ByHelper != nil {
		return
	}
	if sample := table.Take(root, time.Now()); sample.ByHelper != nil {
		s.Expectations, s.ByHelper = sample.Expectations, sample.ByHelper
	}
}
