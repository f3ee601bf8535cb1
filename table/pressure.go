package table

import "time"

// The percentages of the limit at which the levels start.
const (
	HighPercent     = 80
	CriticalPercent = 95
)

// The levels as numbers.
const (
	normal = iota
	high
	critical

	hysteresis = 5 // percent
)

// The losses as numbers, by severity.
const (
	noLoss   = iota
	evicting // Evicting
	refusing // Dropping, for expectations Refusing
)

const (
	// Quiet is the time without a drop after which dropping has ended: a full table drops in bursts, as
	// entries time out.
	Quiet = 30 * time.Second
	// unreadableLimit is how long a table may be unreadable until its condition is reset.
	unreadableLimit = time.Minute
)

// fill is the part of a sample for one table.
type fill struct {
	entries, limit *int64
	Losses         // since the sample before
}

// condition is a Condition as numbers, which can be compared.
type condition struct{ level, loss int }

// of returns the condition of a table by its name.
func (c condition) of(table string) Condition {
	losses := []Loss{NoLoss, Evicting, Dropping}
	if table == Expectations {
		losses[refusing] = Refusing
	}
	return Condition{Level: []Level{Normal, High, Critical}[c.level], Loss: losses[c.loss]}
}

// tableMonitor follows one table.
type tableMonitor struct {
	table string
	// loss is that of the last sample.
	loss int
	// since is when the table began not to be normal; zero while it is.
	since time.Time
	// current is the condition to report, and reported the one that was reported last.
	current, reported condition
	// isReadable is true while the table can be read; lastRead is when it was read last.
	isReadable     bool
	lastRead       time.Time
	entries, limit int64
	nearFull       bool
	trend          trend

	lastLoss time.Time
	// lost is since the table was last normal.
	lost Losses
}

// fillOf returns the table's part of a sample, before which the counters have grown.
func (m *tableMonitor) fillOf(s Sample, grown map[string]uint64) fill {
	if m.table == Expectations {
		return fill{entries: s.Expectations, limit: s.ExpectMax}
	}
	return fill{
		entries: s.Entries, limit: s.Max, Losses: LossesOf(grown),
	}
}

// condition returns the condition of the table with a fill that was read to be shown. ok is false where it
// could not be read.
func (m *tableMonitor) condition(at time.Time, f fill) (c Condition, ok bool) {
	if f.entries == nil || f.limit == nil {
		return Condition{}, false
	}
	level, loss := levelOf(*f.entries, *f.limit), max(m.loss, m.lossOf(f))
	if level == normal { // there is room again
		loss = noLoss
	}
	c = condition{level, loss}.of(m.table)
	if !c.isNormal() && m.isReadable { // the first look does not show since when
		if m.since.IsZero() {
			m.since = at
		}
		c.Since = m.since
	}
	c.FullInSeconds = m.trend.fullIn(*f.entries, *f.limit).Seconds()
	return c, true
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
	switch {
	case m.loss == noLoss && levelOf(m.entries, m.limit) == normal:
		m.since = time.Time{}
	case m.since.IsZero() || at.Before(m.since): // the clock was set back
		m.since = at
	}
	return m.report(at, f, span)
}

// lossOf returns what was lost before a fill was read.
func (m *tableMonitor) lossOf(f fill) int {
	near := m.nearFull || reaches(*f.entries, *f.limit, HighPercent)
	switch {
	case m.table == Expectations:
		if *f.limit > 0 && *f.entries >= *f.limit {
			return refusing
		}
	case f.Dropped > 0 && near:
		return refusing
	case f.Evicted > 0:
		return evicting
	}
	return noLoss
}

// updateLoss updates the loss of the table and its counts.
func (m *tableMonitor) updateLoss(at time.Time, f fill) {
	m.loss = m.lossOf(f)
	m.lost.Evicted += f.Evicted
	if m.loss == refusing {
		m.lost.Dropped += f.Dropped
	}
	m.nearFull = reaches(m.entries, m.limit, HighPercent)
	switch {
	case m.loss > noLoss:
		m.current.loss, m.lastLoss = max(m.current.loss, m.loss), at
	case at.Before(m.lastLoss): // the clock was set back
		m.lastLoss = at
	case at.Sub(m.lastLoss) >= Quiet:
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
		At: at, Table: m.table, Now: m.current.of(m.table), Was: m.reported.of(m.table),
		Entries: m.entries, Limit: m.limit, Lost: f.Losses, LostInAll: m.lost, Span: span,
	}
	if m.current.level > m.reported.level {
		p.Now.FullInSeconds = m.trend.fullIn(m.entries, m.limit).Seconds()
	}
	if m.current.loss > noLoss {
		m.reported = condition{max(m.current.level, m.reported.level), m.current.loss}
	} else {
		m.reported = m.current
	}
	if m.reported == (condition{}) {
		m.lost = Losses{}
	}
	return p, true
}

// reset clears the condition of a table that cannot be read because its module is absent or a capability is
// missing. It reports the end of what was reported.
func (m *tableMonitor) reset(at time.Time, f fill) (Pressure, bool) {
	p := Pressure{At: at, Table: m.table, Now: condition{}.of(m.table), Was: m.reported.of(m.table)}
	wasReported := m.reported != (condition{})
	*m = tableMonitor{table: m.table}
	if p.Gone = f.limit == nil; !p.Gone {
		p.Unreadable, p.Limit = true, *f.limit
	}
	return p, wasReported
}

// levelOf returns the level of a fill.
func levelOf(entries, limit int64) int { return nextLevel(normal, entries, limit) }

// nextLevel returns the level that follows, with hysteresis.
func nextLevel(level int, entries, limit int64) int {
	for _, l := range []struct{ level, start int }{{critical, CriticalPercent}, {high, HighPercent}} {
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
