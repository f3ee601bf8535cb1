package table

import "time"

const (
	// trendWindow is what the forecast looks back on: long enough to tell a rise from
	// noise, short enough to be of the present.
	trendWindow = 5 * time.Minute
	// trendPoints bounds a trend, however often samples come.
	trendPoints = 300
	// A forecast needs so many points over so long a time, a line that explains so much of
	// them (r²), and a table that is half full: what grows after a start mostly levels out.
	forecastPoints = 6
	forecastSpan   = 30 * time.Second
	forecastFit    = 0.8
	forecastFill   = 50 // percent
	// horizon is how far ahead a line is believed.
	horizon = time.Hour
)

type trendPoint struct {
	at      time.Time
	entries int64
}

// trend is the last entries of a table, oldest first.
type trend struct{ points []trendPoint }

func (t *trend) add(at time.Time, entries int64) {
	if n := len(t.points); n > 0 && !at.After(t.points[n-1].at) {
		if at.Equal(t.points[n-1].at) {
			return
		}
		t.points = nil // the clock was set back
	}
	t.points = append(t.points, trendPoint{at, entries})
	first := max(0, len(t.points)-trendPoints)
	for at.Sub(t.points[first].at) > trendWindow {
		first++
	}
	t.points = append(t.points[:0], t.points[first:]...)
}

// fullIn is when the entries meet the limit at the rate of the last minutes; 0 where
// that does not carry: see the constants. The newer half must rise as well, and by half
// the rate of the whole, or the rise is over already.
func (t *trend) fullIn(entries, limit int64) time.Duration {
	n := len(t.points)
	if n < forecastPoints || entries >= limit || !reaches(entries, limit, forecastFill) ||
		t.points[n-1].at.Sub(t.points[0].at) < forecastSpan {
		return 0
	}
	rate, fit := line(t.points)
	recent, _ := line(t.points[n/2:])
	if rate <= 0 || fit < forecastFit || recent < rate/2 {
		return 0
	}
	seconds := float64(limit-entries) / rate
	if seconds > horizon.Seconds() {
		return 0
	}
	return max(time.Duration(seconds*float64(time.Second)), 1)
}

// line is the least-squares line through points: its slope in entries a second, and r²,
// the part of their variance that it explains.
func line(points []trendPoint) (slope, fit float64) {
	var x, y float64
	for _, p := range points {
		x += p.at.Sub(points[0].at).Seconds()
		y += float64(p.entries - points[0].entries)
	}
	x, y = x/float64(len(points)), y/float64(len(points))
	var xx, xy, yy float64
	for _, p := range points {
		dx, dy := p.at.Sub(points[0].at).Seconds()-x, float64(p.entries-points[0].entries)-y
		xx, xy, yy = xx+dx*dx, xy+dx*dy, yy+dy*dy
	}
	if xx == 0 || yy == 0 {
		return 0, 0
	}
	return xy / xx, xy * xy / (xx * yy)
}
