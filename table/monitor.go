package table

import (
	"sync"
	"time"
)

// Level is how full a table is.
type Level string

// The levels, with the fill at which each starts.
const (
	Normal   Level = "normal"
	High     Level = "high"     // from HighPercent on
	Critical Level = "critical" // from CriticalPercent on
)

// The tables whose fill is watched.
const (
	Connections  = "connections"
	Expectations = "expectations"
)

// Loss is what the kernel does because a table is full.
type Loss string

// The losses, from none to the worst.
const (
	NoLoss Loss = ""
	// Evicting: a connection without a reply is evicted for a new one, which gets in. The counter early_drop
	// grows (early_drop in nf_conntrack_core.c).
	Evicting Loss = "evicting"
	// Dropping: packets of new connections are dropped. The counter drop grows while the table is at least
	// 80 % full. A growing drop alone proves nothing: nf_ct_resolve_clash also counts packets
	// there that lost a race in a table that is not full.
	Dropping Loss = "dropping"
	// Refusing: new expectations are refused. The entries have reached the limit, because the kernel counts
	// nothing when it refuses an expectation (__nf_ct_expect_check).
	Refusing Loss = "refusing"
)

// Condition is how full a table is, and what that does.
type Condition struct {
	Level Level `json:"level"`
	Loss  Loss  `json:"loss,omitempty"`
	// Since is when Level or Loss began to differ from normal; zero while neither does.
	Since time.Time `json:"since,omitzero"`
	// FullInSeconds is the forecast at the present rate; 0 if the table does not fill.
	FullInSeconds float64 `json:"full_in_seconds,omitzero"`
}

// isNormal reports whether there is nothing to report.
func (c Condition) isNormal() bool { return c.Level == Normal && c.Loss == NoLoss }

// Losses counts what was lost, by the kernel's counters.
type Losses struct {
	// Dropped are packets: the table was full, memory was short, a helper dropped them, or a race was lost (drop).
	Dropped int64 `json:"dropped"`
	// Evicted are connections without a reply that were evicted for new ones (early_drop).
	Evicted int64 `json:"evicted"`
	// Refused are connections whose chain in the hash table was too long (chainlength, since Linux 5.15;
	// chaintoolong in netlink; __nf_conntrack_confirm).
	Refused int64 `json:"refused"`
	// LostRaces are packets whose connection another packet had just inserted (insert_failed).
	LostRaces int64 `json:"lost_races"`
}

// add returns the sum of losses.
func (l Losses) add(other Losses) Losses {
	return Losses{
		l.Dropped + other.Dropped, l.Evicted + other.Evicted, l.Refused + other.Refused, l.LostRaces + other.LostRaces,
	}
}

// Pressure is a change of a table's condition, reported once. A level is reported to end 5 points below its
// start, and a loss 30 s after the last one, so that a table at the edge is reported once.
type Pressure struct {
	At time.Time
	// Table is Connections or Expectations.
	Table string
	// Now is the condition, and Was the one that was reported before it.
	Now, Was Condition
	// Entries and Limit are the last ones known; a limit of 0 or less is no limit.
	Entries, Limit int64
	// Lost is since the look before, Span earlier; LostInAll since the table was last normal.
	Lost, LostInAll Losses
	Span            time.Duration
	// Unreadable is true for a table that cannot be read any more, Gone for one that is gone with its module.
	Unreadable, Gone bool
}

// State is the state of the tables, for status, metrics and the page.
type State struct {
	// Conditions are by table; a table that cannot be read is not there.
	Conditions map[string]Condition `json:"conditions"`
	// Rates are per second by counter, and of "entries", which may be negative. They are averages over the
	// last 15 s at most. After a reload of the module there are none until there are two samples.
	Rates map[string]float64 `json:"rates"`
	// Grown is by how much the counters have grown in the last GrownSeconds: since the look before the last.
	Grown        map[string]uint64 `json:"grown"`
	GrownSeconds float64           `json:"grown_seconds"`
}

// Point is one sample for a plot. A figure that could not be read is 0, and so is a limit if there is none.
type Point struct {
	// At is in seconds since the epoch.
	At           int64 `json:"at"`
	Entries      int64 `json:"entries"`
	Max          int64 `json:"max"`
	Expectations int64 `json:"expectations"`
	ExpectMax    int64 `json:"expect_max"`
	// Losses are since the point before.
	Losses
}

// Monitor keeps a limited number of samples and computes State and Pressure from them. It is safe for
// concurrent use.
type Monitor struct {
	mu     sync.Mutex
	points []Point // a ring: if it is full, next is the oldest
	next   int
	size   int

	counters counterHistory
	last     Sample
	// grown is by how much the counters grew in the span before the last sample.
	grown        map[string]uint64
	span         time.Duration
	connections  tableMonitor
	expectations tableMonitor
}

// NewMonitor returns a Monitor that keeps so many points, at least one.
func NewMonitor(points int) *Monitor {
	return &Monitor{
		size:        max(points, 1),
		connections: tableMonitor{table: Connections}, expectations: tableMonitor{table: Expectations},
	}
}

// Add adds the next sample and returns what has to be reported, usually nothing. Samples are in the order of
// their times and must not be changed afterwards. Counters that have fallen mean that the module was loaded
// again; they are no drops. A sample without any figures means that the module is absent.
func (m *Monitor) Add(s Sample) []Pressure {
	m.mu.Lock()
	defer m.mu.Unlock()
	grown := m.counters.add(s)
	m.grown, m.span = grown, s.At.Sub(m.last.At)
	m.last = s
	m.keep(Point{
		At:      s.At.Unix(),
		Entries: valueOf(s.Entries), Max: limitOf(s.Max),
		Expectations: valueOf(s.Expectations), ExpectMax: limitOf(s.ExpectMax),
		Losses: LossesOf(grown),
	})
	var changes []Pressure
	for _, t := range m.tables() {
		if p, ok := t.add(s.At, t.fillOf(s, grown)); ok {
			changes = append(changes, p)
		}
	}
	return changes
}

func (m *Monitor) tables() []*tableMonitor { return []*tableMonitor{&m.connections, &m.expectations} }

// State returns the state of the tables in a sample that was taken to be shown: the last one of Add, or a
// later one. A loss is shown until the first sample of Add without one. Before the first Add nothing is known but
// the sample.
func (m *Monitor) State(s Sample) State {
	m.mu.Lock()
	defer m.mu.Unlock()
	since := growth(m.last.Counters, s.Counters)
	state := State{Conditions: map[string]Condition{}, Rates: m.counters.rates(), Grown: map[string]uint64{}}
	if !m.last.At.IsZero() {
		state.GrownSeconds = s.At.Sub(m.last.At).Seconds()
	}
	if m.grown != nil {
		state.GrownSeconds += m.span.Seconds()
	}
	for _, grown := range []map[string]uint64{m.grown, since} {
		for name, n := range grown {
			state.Grown[name] += n
		}
	}
	for _, t := range m.tables() {
		if c, ok := t.condition(s.At, t.fillOf(s, since)); ok {
			state.Conditions[t.table] = c
		}
	}
	return state
}

// Points returns the points after since, oldest first, or all points for the zero time. The time of a point
// is in whole seconds: those in the second of since are not returned.
func (m *Monitor) Points(since time.Time) []Point {
	m.mu.Lock()
	defer m.mu.Unlock()
	after := make([]Point, 0, len(m.points))
	for i := range m.points {
		if p := m.points[(m.next+i)%len(m.points)]; p.At > since.Unix() {
			after = append(after, p)
		}
	}
	return after
}

// keep keeps a point. Two of one second become one, because At is how readers tell points apart.
func (m *Monitor) keep(p Point) {
	if n := len(m.points); n > 0 {
		if last := &m.points[(m.next+n-1)%n]; last.At == p.At {
			p.Losses = p.add(last.Losses)
			*last = p
			return
		}
	}
	if len(m.points) < m.size {
		m.points = append(m.points, p)
		return
	}
	m.points[m.next] = p
	m.next = (m.next + 1) % m.size
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func limitOf(n *int64) int64 { return max(valueOf(n), 0) }
