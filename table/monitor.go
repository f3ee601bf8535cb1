package table

import "time"

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
	// Dropping is true while the kernel drops packets for want of room: the counters drop and
	// early_drop of the connections grow, or expect_create meets its limit.
	Dropping       bool
	Entries, Limit int64
	// FullIn is the forecast at the present rate; 0 where the trend does not carry one.
	FullIn time.Duration
	// Message says it all in one sentence.
	Message string
}

// State is how the tables stand, for status, metrics and the page.
type State struct {
	// Levels and Dropping are by table.
	Levels   map[string]Level `json:"levels"`
	Dropping map[string]bool  `json:"dropping"`
	// Rates are per second, by counter; and of "entries", which may be negative.
	Rates map[string]float64 `json:"rates"`
	// FullInSeconds is the forecast by table, where the trend carries one.
	FullInSeconds map[string]float64 `json:"full_in_seconds"`
}

// Point is one sample as plots need it.
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
type Monitor struct{}

// NewMonitor keeps at most so many points.
func NewMonitor(points int) *Monitor { return &Monitor{} }

// Add takes the next sample and gives what is to be said, mostly nothing.
func (m *Monitor) Add(s Sample) []Pressure { return nil }

// State tells how the tables stand by the last samples.
func (m *Monitor) State() State { return State{} }

// Points gives the points after a moment, oldest first.
func (m *Monitor) Points(since time.Time) []Point { return nil }
