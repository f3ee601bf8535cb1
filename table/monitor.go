package table

import (
	"sync"
	"time"
)

// Level is how full a table is.
type Level string

// The levels, with the fill at which each starts. A level ends 5 points below its start, so that a table at
// the edge is reported once.
const (
	Normal   Level = "normal"
	High     Level = "high"     // 80 %
	Critical Level = "critical" // 95 %
)

// The tables whose fill is watched.
const (
	Connections  = "connections"
	Expectations = "expectations"
)

// Pressure is a change of a table's level or of its drops, reported once.
type Pressure struct {
	At time.Time
	// Table is Connections or Expectations.
	Table string
	Level Level
	// Dropping is true while the kernel drops because the table is full, and for 30 s after the last drop.
	// For connections it means that the counter early_drop grows (early_drop evicts a connection that is not
	// assured for a new one), or that drop grows while the table is at least 80 % full. A growing drop alone
	// proves nothing: nf_ct_resolve_clash also counts there what has lost a race in a table that is not full.
	// For expectations it means that the entries have reached the limit, because the kernel counts nothing
	// when it refuses an expectation (__nf_ct_expect_check).
	Dropping bool
	// Entries and Limit are the last ones known; a limit of 0 or less is no limit.
	Entries, Limit int64
	// FullIn is the forecast at the present rate; 0 if there is none.
	FullIn time.Duration
	// Message describes the change in one sentence.
	Message string
}

// State is the state of the tables, for status, metrics and the page.
type State struct {
	// Levels and Dropping are by table; they lack a table that cannot be read.
	Levels   map[string]Level `json:"levels"`
	Dropping map[string]bool  `json:"dropping"`
	// Rates are per second by counter, and of "entries", which may be negative. They are averages over the
	// last 15 s at most. After a reload of the module there are none until there are two samples.
	Rates map[string]float64 `json:"rates"`
	// FullInSeconds has the forecast by table, if there is one.
	FullInSeconds map[string]float64 `json:"full_in_seconds"`
}

// Point is one sample for a plot. A figure that could not be read is 0, and so is a limit if there is none.
type Point struct {
	// At is in seconds since the epoch.
	At           int64 `json:"at"`
	Entries      int64 `json:"entries"`
	Max          int64 `json:"max"`
	Expectations int64 `json:"expectations"`
	ExpectMax    int64 `json:"expect_max"`
	// Drops are the packets dropped since the point before (DropCounters).
	Drops int64 `json:"drops"`
}

// Monitor keeps a limited number of samples and computes State and Pressure from them. It is safe for
// concurrent use.
type Monitor struct {
	mu     sync.Mutex
	points []Point // a ring: if it is full, next is the oldest
	next   int
	size   int

	counters     counterHistory
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
	m.keep(Point{
		At:      s.At.Unix(),
		Entries: valueOf(s.Entries), Max: limitOf(s.Max),
		Expectations: valueOf(s.Expectations), ExpectMax: limitOf(s.ExpectMax),
		Drops: Drops(grown),
	})
	var changes []Pressure
	for _, next := range []struct {
		monitor *tableMonitor
		fill    fill
	}{
		{&m.connections, fill{
			entries: s.Entries, limit: s.Max,
			dropped: int64(grown[columnDrop]), evicted: int64(grown[columnEarlyDrop]),
		}},
		{&m.expectations, fill{entries: s.Expectations, limit: s.ExpectMax}},
	} {
		if p, ok := next.monitor.add(s.At, next.fill); ok {
			changes = append(changes, p)
		}
	}
	return changes
}

// State returns the state of the tables by the last samples.
func (m *Monitor) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := State{
		Levels: map[string]Level{}, Dropping: map[string]bool{},
		Rates: m.counters.rates(), FullInSeconds: map[string]float64{},
	}
	for _, w := range []*tableMonitor{&m.connections, &m.expectations} {
		if !w.isReadable {
			continue
		}
		s.Levels[w.table], s.Dropping[w.table] = levels()[w.current.level], w.current.loss > noLoss
		if d := w.fullIn(); d > 0 {
			s.FullInSeconds[w.table] = d.Seconds()
		}
	}
	return s
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

func (m *Monitor) keep(p Point) {
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
