package status

import "github.com/ctkeeper/ctkeeper/table"

// Table describes the tables of connections and of expectations.
type Table struct {
	table.Figures
	// LoadFactor is connections for each hash bucket; nil where one of them cannot be read.
	LoadFactor *float64 `json:"load_factor"`
	// Counters are those of table.Counters; empty where they cannot be read.
	Counters map[string]uint64 `json:"counters"`
	// State has rates and a forecast only in a daemon's document: one sample has no trend.
	table.State
	// ByHelper counts the expectations by the helper that created them; nil where this
	// process may not read them.
	ByHelper map[string]int64 `json:"expectations_by_helper"`
	// KernelMessages counts, since the daemon's start, the kernel's messages of full tables
	// by kind (TableFull, ExpectationsFull). Nil where its log may not be read.
	KernelMessages map[string]int64 `json:"kernel_messages,omitzero"`
}

// NewTable describes a sample, with the state of the tables in it.
func NewTable(s table.Sample, state table.State) Table {
	t := Table{
		Figures: s.Figures, LoadFactor: s.LoadFactor(), Counters: s.Counters, State: state, ByHelper: s.ByHelper,
	}
	if t.Counters == nil {
		t.Counters = map[string]uint64{}
	}
	return t
}

// The kinds of message in KernelMessages.
const (
	// TableFull is "nf_conntrack: table full, dropping packet" (__nf_conntrack_alloc).
	TableFull = "table-full"
	// ExpectationsFull is "nf_conntrack: expectation table full" (__nf_ct_expect_check).
	ExpectationsFull = "expectation-table-full"
)
