package table

import "time"

// The levels by their number in a stand; percent of the limit at which each begins.
const (
	calm = iota
	high
	critical

	highBegins     = 80
	criticalBegins = 95
	hysteresis     = 5
)

func levels() []Level { return []Level{Calm, High, Critical} }

// What the kernel does for want of room, the worse the higher.
const (
	none     = iota
	evicting // a connection that is not assured makes room for a new one
	refusing // packets of new connections are dropped; expectations are refused
)

const (
	// quiet is how long there must be no drop until dropping counts as over: a full table
	// drops in bursts, as entries time out.
	quiet = 30 * time.Second
	// unseen is how long a table may stay unreadable until its stand is forgotten.
	unseen = time.Minute
)

// fill is what one sample tells of one table.
type fill struct {
	entries, limit *int64
	// dropped and evicted are since the sample before.
	dropped, evicted int64
}

// stand is what people are told of, once for each change.
type stand struct{ level, loss int }

// watch follows one table.
type watch struct {
	table string
	// now is how the table stands, said what was told.
	now, said stand
	// seen is true while the table can be read; last is the last sample that could.
	seen           bool
	last           time.Time
	entries, limit int64
	nearFull       bool
	trend          trend

	lastLoss time.Time
	// dropped and evicted are since the table was calm.
	dropped, evicted int64
}

// add takes what the next sample tells and gives what is to be said, if anything.
func (w *watch) add(at time.Time, f fill) (Pressure, bool) {
	if f.entries == nil || f.limit == nil {
		if f.entries == nil && f.limit == nil || at.Sub(w.last) >= unseen {
			return w.forget(at, f)
		}
		return Pressure{}, false
	}
	span := at.Sub(w.last)
	if !w.seen || span < 0 { // the clock was set back
		span = 0
	}
	w.entries, w.limit, w.last, w.seen = *f.entries, *f.limit, at, true
	w.trend.add(at, w.entries)
	w.now.level = nextLevel(w.now.level, w.entries, w.limit)
	w.lose(at, f)
	return w.say(at, f, span)
}

// lose tells whether the table loses for want of room, and keeps count.
func (w *watch) lose(at time.Time, f fill) {
	near := reaches(w.entries, w.limit, highBegins)
	loss := none
	switch {
	case w.table == Expectations:
		if w.limit > 0 && w.entries >= w.limit {
			loss = refusing
		}
	case f.dropped > 0 && (near || w.nearFull):
		loss = refusing
		w.dropped += f.dropped
	case f.evicted > 0:
		loss = evicting
	}
	w.evicted += f.evicted
	w.nearFull = near
	switch {
	case loss > none:
		w.now.loss, w.lastLoss = max(w.now.loss, loss), at
	case at.Before(w.lastLoss): // the clock was set back
		w.lastLoss = at
	case at.Sub(w.lastLoss) >= quiet:
		w.now.loss = none
	}
}

// say compares how the table stands with what was told last. While the table loses, only
// what is worse is told: the rest is said when that is over.
func (w *watch) say(at time.Time, f fill, span time.Duration) (Pressure, bool) {
	worse := w.now.level > w.said.level || w.now.loss > w.said.loss
	if w.now == w.said || w.now.loss > none && !worse {
		return Pressure{}, false
	}
	p := Pressure{
		At: at, Table: w.table, Level: levels()[w.now.level], Dropping: w.now.loss > none,
		Entries: w.entries, Limit: w.limit,
	}
	if w.now.level > w.said.level {
		p.FullIn = w.fullIn()
	}
	p.Message = w.message(f, span, p.FullIn)
	if w.now.loss > none {
		w.said = stand{max(w.now.level, w.said.level), w.now.loss}
	} else {
		w.said = w.now
	}
	if w.said == (stand{}) {
		w.dropped, w.evicted = 0, 0
	}
	return p, true
}

// forget ends what was told of a table that cannot be read: its module is absent, or the
// right to read it.
func (w *watch) forget(at time.Time, f fill) (Pressure, bool) {
	told := w.said != (stand{})
	gone := f.limit == nil
	*w = watch{table: w.table}
	p := Pressure{At: at, Table: w.table, Level: Calm, Message: "the " + w.name() + " cannot be read any longer"}
	if gone {
		p.Message = "the " + w.name() + " is gone with nf_conntrack, and its pressure is over"
	} else {
		p.Limit = *f.limit
	}
	return p, told
}

// fullIn is the forecast for the table, 0 where there is none.
func (w *watch) fullIn() time.Duration { return w.trend.fullIn(w.entries, w.limit) }

// nextLevel is the level after another, with hysteresis.
func nextLevel(level int, entries, limit int64) int {
	for _, l := range []struct{ level, begins int }{{critical, criticalBegins}, {high, highBegins}} {
		if reaches(entries, limit, l.begins) || level >= l.level && above(entries, limit, l.begins-hysteresis) {
			return l.level
		}
	}
	return calm
}

// reaches and above hold entries to a share of a limit, in percent. Without a limit no
// share is reached. Figures are of files, and may be of any size: hence the floats.
func reaches(entries, limit int64, percent int) bool {
	return limit > 0 && float64(entries)*100 >= float64(limit)*float64(percent)
}

func above(entries, limit int64, percent int) bool {
	return limit > 0 && float64(entries)*100 > float64(limit)*float64(percent)
}
