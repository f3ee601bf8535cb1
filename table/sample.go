package table

import (
	"sync"
	"time"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Sample is the figures and the kernel's counters at one time. What cannot be read is nil.
type Sample struct {
	At time.Time `json:"at"`
	Figures
	// Counters are those of /proc/net/stat/nf_conntrack, summed over all processors, by column. They start
	// at 0 when the module is loaded.
	Counters map[string]uint64 `json:"counters,omitempty"`
	// ByHelper has the expectations by helper (ExpectationsByHelper).
	ByHelper map[string]int64 `json:"expectations_by_helper,omitempty"`
}

// Take returns one sample.
func Take(host tree.Tree, at time.Time) Sample {
	s := NewSampler(host)
	defer s.Close()
	return s.Take(at)
}

const (
	// expectationsAge is the least age at which expectations are read again: what is shown is not older. But
	// the time to read them grows with their number: after a read that took t, the next one waits
	// expectationsRest × t.
	expectationsAge  = time.Second
	expectationsRest = 100
)

// Sampler takes samples repeatedly. It reads for each sample what takes the same time however full the table
// is. It reads the expectations once a second at most, and less often if that takes longer than 10 ms; the samples in
// between repeat them. If the expectations cannot be read, each sample tries again. It keeps the other files
// open. A Sampler is safe for concurrent use.
type Sampler struct {
	host  tree.Tree
	sizes *sysfs.Files

	mu      sync.Mutex
	stat    statFile
	readAt  time.Time
	took    time.Duration
	helpers map[string]int64
}

// NewSampler returns a Sampler of a host.
func NewSampler(host tree.Tree) *Sampler {
	return &Sampler{host: host, sizes: sysfs.NewReader(host), stat: statFile{tree: host}}
}

// Close closes the open files. The Sampler can be used again.
func (s *Sampler) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.sizes.Close() // they were only read
	s.stat.close()
}

// Take takes the next sample.
func (s *Sampler) Take(at time.Time) Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	sample := Sample{At: at, Figures: readSizes(s.sizes)}
	sample.Counters, _ = s.stat.counters() // nil if they cannot be read
	sample.ByHelper = s.expectations(at, sample.ExpectMax != nil)
	if sample.ByHelper != nil {
		sample.Expectations = sum(sample.ByHelper)
	}
	return sample
}

// expectations returns the expectations by helper, nil if they cannot be read. hasTable is false while the
// module is absent: the expectations of the next table are read at once.
func (s *Sampler) expectations(at time.Time, hasTable bool) map[string]int64 {
	if !hasTable {
		s.readAt, s.helpers = time.Time{}, nil
		return nil
	}
	rest := expectationsRest * s.took
	if s.helpers != nil { // a failed read is cheap and is tried again soon
		rest = max(rest, expectationsAge)
	}
	if age := at.Sub(s.readAt); age < 0 || age >= rest {
		start := time.Now()
		s.helpers, _ = ExpectationsByHelper(s.host) // nil if they cannot be read
		s.readAt, s.took = at, time.Since(start)
	}
	return s.helpers
}
