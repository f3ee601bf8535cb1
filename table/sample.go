package table

import (
	"sync"
	"time"
)

// Sample is one look at the table, in connections, hash buckets, expectations and
// the kernel's own counters. What cannot be read is nil.
type Sample struct {
	At time.Time `json:"at"`
	Figures
	// Counters are /proc/net/stat/nf_conntrack, all processors added up, by column;
	// they start anew with the module.
	Counters map[string]uint64 `json:"counters,omitempty"`
	// ByHelper counts the expectations by the helper that made them, as
	// ExpectationsByHelper does.
	ByHelper map[string]int64 `json:"expectations_by_helper,omitempty"`
}

// Take looks once.
func Take(root string, at time.Time) Sample { return NewSampler(root).Take(at) }

const (
	// expectationsAge is how old the expectations of a sample may be. Their cost grows with
	// their number, so that they may become older: a hundred times what it took to look.
	expectationsAge  = 15 * time.Second
	expectationsRest = 100
)

// Sampler looks at the table again and again. What costs the same however full the table
// is, is read for each sample; the expectations only every 15 s, and less often where
// that takes longer than 150 ms: in between, samples repeat them. Where they could not
// be read, each sample tries again. It is safe for several goroutines.
type Sampler struct {
	root string

	mu      sync.Mutex
	looked  time.Time
	took    time.Duration
	helpers map[string]int64
}

// NewSampler looks at the system below root.
func NewSampler(root string) *Sampler { return &Sampler{root: root} }

// Take looks once more.
func (s *Sampler) Take(at time.Time) Sample {
	sample := Sample{At: at, Figures: sizes(s.root)}
	sample.Counters, _ = Counters(s.root) // nil says that they cannot be read
	sample.ByHelper = s.expectations(at, sample.ExpectMax != nil)
	if sample.ByHelper != nil {
		sample.Expectations = inAll(sample.ByHelper)
	}
	return sample
}

// expectations are by helper, nil where they cannot be read. Without a table there are
// none, and those of the next are looked at anew.
func (s *Sampler) expectations(at time.Time, there bool) map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !there {
		s.looked, s.helpers = time.Time{}, nil
		return nil
	}
	rest := expectationsRest * s.took
	if s.helpers != nil { // what could not be read costs next to nothing to try again
		rest = max(rest, expectationsAge)
	}
	if age := at.Sub(s.looked); age < 0 || age >= rest {
		start := time.Now()
		s.helpers, _ = ExpectationsByHelper(s.root) // nil says that they cannot be read
		s.looked, s.took = at, time.Since(start)
	}
	return s.helpers
}
