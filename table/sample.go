package table

import "time"

// Sample is one look at the table, in connections, hash buckets, expectations and
// the kernel's own counters. What cannot be read is nil.
type Sample struct {
	At time.Time `json:"at"`
	Figures
	// Counters are /proc/net/stat/nf_conntrack, all processors added up, by column;
	// they start anew with the module.
	Counters map[string]uint64 `json:"counters,omitempty"`
}

// Take looks once.
func Take(root string, at time.Time) Sample {
	counters, _ := Counters(root) // nil says that they cannot be read
	return Sample{At: at, Figures: Read(root), Counters: counters}
}
