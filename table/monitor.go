package table

import (
	"sync"
	"time"
)

// Level says how full a table is.
type Level string

// The levels, with the fill at which each begins. A level is left only when the fill has
// fallen 5 points below its beginning, so that a table at the edge says it once.
const (
	Calm     Level = "calm"
	High     Level = "high"     // 80 %
	Critical Level = "critical" // 95 %
)

// The tables whose fill is watched.
const (
	Connections  = "connections"
	Expectations = "expectations"
)

// Pressure is a change that people are to be told of, once.
type Pressure struct {
	At time.Time
	// Table is Connections or Expectations.
	Table string
	Level Level
	// Dropping is true while the kernel drops for want of room, and until it has not for
	// 30 s. Of connections: the counter early_drop grows (early_drop evicts a connection
	// that is not assured for a new one), or drop does while the table is at least 80 %
	// full; drop alone proves nothing, because nf_ct_resolve_clash counts there as well
	// what has lost a race in a table with room. Of expectations: entries have met the
	// limit, because the kernel counts nothing when it refuses one
	// (__nf_ct_expect_check).
	Dropping bool
	// Entries and Limit are as they were seen last; a limit of 0 or less is none.
	Entries, Limit int64
	// FullIn is the forecast at the present rate; 0 where the trend does not carry one.
	FullIn time.Duration
	// Message says it all in one sentence.
	Message string
}

// State is how the tables stand, for status, metrics and the page.
type State struct {
	// Levels and Dropping are by table; a table that cannot be read is not among them.
	Levels   map[string]Level `json:"levels"`
	Dropping map[string]bool  `json:"dropping"`
	// Rates are per second, by counter; and of "entries", which may be negative. They are
	// of the last samples, 15 s at most, and none after a reload until there are two.
	Rates map[string]float64 `json:"rates"`
	// FullInSeconds is the forecast by table, where the trend carries one.
	FullInSeconds map[string]float64 `json:"full_in_seconds"`
}

// Point is one sample as plots need it. What could not be read is 0, and so is a limit
// where there is none.
type Point struct {
	// At is in seconds since the epoch.
	At           int64 `json:"at"`
	Entries      int64 `json:"entries"`
	Max          int64 `json:"max"`
	Expectations int64 `json:"expectations"`
	ExpectMax    int64 `json:"expect_max"`
	// Drops are the packets dropped since the point before: drop, early_drop and insert_failed.
	Drops int64 `json:"drops"`
}

// Monitor keeps the last samples, bounded, and tells what they mean. It is safe for
// several goroutines.
type Monitor struct {
	mu     sync.Mutex
	points []Point // a ring: next is the oldest once it is full
	next   int
	size   int

	counters     history
	connections  watch
	expectations watch
}

// NewMonitor keeps at most so many points, and at least one.
func NewMonitor(points int) *Monitor {
	return &Monitor{
		size:        max(points, 1),
		connections: watch{table: Connections}, expectations: watch{table: Expectations},
	}
}

// Add takes the next sample and gives what is to be said, mostly nothing. Samples come in
// the order of their times, and are not changed afterwards. Counters that have fallen are
// those of a module that was loaded anew, and no drops; a sample without any figures is of
// a module that is absent.
func (m *Monitor) Add(s Sample) []Pressure {
	m.mu.Lock()
	defer m.mu.Unlock()
	grown := m.counters.add(s)
	m.keep(Point{
		At:      s.At.Unix(),
		Entries: known(s.Entries), Max: limited(s.Max),
		Expectations: known(s.Expectations), ExpectMax: limited(s.ExpectMax),
		Drops: Drops(grown),
	})
	var said []Pressure
	for _, look := range []struct {
		watch *watch
		fill  fill
	}{
		{&m.connections, fill{
			entries: s.Entries, limit: s.Max,
			dropped: int64(grown[columnDrop]), evicted: int64(grown[columnEarlyDrop]),
		}},
		{&m.expectations, fill{entries: s.Expectations, limit: s.ExpectMax}},
	} {
		if p, ok := look.watch.add(s.At, look.fill); ok {
			said = append(said, p)
		}
	}
	return said
}

// State tells how the tables stand by the last samples.
func (m *Monitor) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := State{
		Levels: map[string]Level{}, Dropping: map[string]bool{},
		Rates: m.counters.rates(), FullInSeconds: map[string]float64{},
	}
	for _, w := range []*watch{&m.connections, &m.expectations} {
		if !w.seen {
			continue
		}
		s.Levels[w.table], s.Dropping[w.table] = levels()[w.now.level], w.now.loss > none
		if d := w.fullIn(); d > 0 {
			s.FullInSeconds[w.table] = d.Seconds()
		}
	}
	return s
}

// Points gives the points after a moment, oldest first; all of them for the zero time.
// Points know whole seconds: those of the moment's own second are not given.
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

func known(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func limited(n *int64) int64 { return max(known(n), 0) }
