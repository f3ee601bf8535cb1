package table

import "time"

// The levels as numbers, and the percentage of the limit at which each starts.
const (
	normal = iota
	high
	critical

	highStart     = 80
	criticalStart = 95
	hysteresis    = 5
)

func levels() []Level { return []Level{Normal, High, Critical} }

// What the kernel does because a table is full, by severity.
const (
	noLoss   = iota
	evicting // a connection that is not assured is evicted for a new one
	refusing // packets of new connections are dropped; expectations are refused
)

const (
	// quiet is the time without a drop after which dropping has ended: a full table drops in bursts, as
	// entries time out.
	quiet = 30 * time.Second
	// unreadableLimit is how long a table may be unreadable until its condition is reset.
	unreadableLimit = time.Minute
)

// fill is the part of a sample for one table.
type fill struct {
	entries, limit *int64
	// dropped and evicted are since the sample before.
	dropped, evicted int64
}

// condition is what is reported, once for each change.
type condition struct{ level, loss int }

// tableMonitor follows one table.
type tableMonitor struct {
	table string
	// reported is the condition that was reported last.
	current, reported condition
	// isReadable is true while the table can be read; lastRead is when it was read last.
	isReadable     bool
	lastRead       time.Time
	entries, limit int64
	nearFull       bool
	trend          trend

	lastLoss time.Time
	// dropped and evicted are since the table was last normal.
	dropped, evicted int64
}

// add adds the next sample and returns the change to report, if any.
func (m *tableMonitor) add(at time.Time, f fill) (Pressure, bool) {
	if f.entries == nil || f.limit == nil {
		if f.entries == nil && f.limit == nil || at.Sub(m.lastRead) >= unreadableLimit {
			return m.reset(at, f)
		}
		return Pressure{}, false
	}
	span := at.Sub(m.lastRead)
	if !m.isReadable || span < 0 { // the clock was set back
		span = 0
	}
	m.entries, m.limit, m.lastRead, m.isReadable = *f.entries, *f.limit, at, true
	m.trend.add(at, m.entries)
	m.current.level = nextLevel(m.current.level, m.entries, m.limit)
	m.updateLoss(at, f)
	return m.report(at, f, span)
}

// updateLoss updates the loss of the table and its counts.
func (m *tableMonitor) updateLoss(at time.Time, f fill) {
	near := reaches(m.entries, m.limit, highStart)
	loss := noLoss
	switch {
	case m.table == Expectations:
		if m.limit > 0 && m.entries >= m.limit {
			loss = refusing
		}
	case f.dropped > 0 && (near || m.nearFull):
		loss = refusing
		m.dropped += f.dropped
	case f.evicted > 0:
		loss = evicting
	}
	m.evicted += f.evicted
	m.nearFull = near
	switch {
	case loss > noLoss:
		m.current.loss, m.lastLoss = max(m.current.loss, loss), at
	case at.Before(m.lastLoss): // the clock was set back
		m.lastLoss = at
	case at.Sub(m.lastLoss) >= quiet:
		m.current.loss = noLoss
	}
}

// report compares the current condition with the reported one. During a loss it reports only what is worse;
// the rest is reported when the loss has ended.
func (m *tableMonitor) report(at time.Time, f fill, span time.Duration) (Pressure, bool) {
	worse := m.current.level > m.reported.level || m.current.loss > m.reported.loss
	if m.current == m.reported || m.current.loss > noLoss && !worse {
		return Pressure{}, false
	}
	p := Pressure{
		At: at, Table: m.table, Level: levels()[m.current.level], Dropping: m.current.loss > noLoss,
		Entries: m.entries, Limit: m.limit,
	}
	if m.current.level > m.reported.level {
		p.FullIn = m.fullIn()
	}
	p.Message = m.message(f, span, p.FullIn)
	if m.current.loss > noLoss {
		m.reported = condition{max(m.current.level, m.reported.level), m.current.loss}
	} else {
		m.reported = m.current
	}
	if m.reported == (condition{}) {
		m.dropped, m.evicted = 0, 0
	}
	return p, true
}

// reset clears the condition of a table that cannot be read because its module is absent or a capability is
// missing. It reports the end of what was reported.
func (m *tableMonitor) reset(at time.Time, f fill) (Pressure, bool) {
	wasReported := m.reported != (condition{})
	isGone := f.limit == nil
	*m = tableMonitor{table: m.table}
	p := Pressure{At: at, Table: m.table, Level: Normal, Message: "the " + m.name() + " cannot be read any more"}
	if isGone {
		p.Message = "the " + m.name() + " is gone: nf_conntrack was unloaded"
	} else {
		p.Limit = *f.limit
	}
	return p, wasReported
}

// fullIn returns the forecast for the table, 0 if there is none.
func (m *tableMonitor) fullIn() time.Duration { return m.trend.fullIn(m.entries, m.limit) }

// nextLevel returns the level that follows, with hysteresis.
func nextLevel(level int, entries, limit int64) int {
	for _, l := range []struct{ level, start int }{{critical, criticalStart}, {high, highStart}} {
		if reaches(entries, limit, l.start) || level >= l.level && exceeds(entries, limit, l.start-hysteresis) {
			return l.level
		}
	}
	return normal
}

// reaches and exceeds compare entries with a percentage of a limit, and are false without a limit. They use
// floats because the figures come from files and may have any size.
func reaches(entries, limit int64, percent int) bool {
	return limit > 0 && float64(entries)*100 >= float64(limit)*float64(percent)
}

func exceeds(entries, limit int64, percent int) bool {
	return limit > 0 && float64(entries)*100 > float64(limit)*float64(percent)
}
