package table

import "time"

const (
	// trendWindow is the time that a forecast is based on: long enough to distinguish a rise from noise,
	// short enough to show the present.
	trendWindow = 5 * time.Minute
	// trendPoints limits the points of a trend, however frequent the samples are.
	trendPoints = 300
	// A forecast needs forecastPoints over forecastSpan, a line with an r² of forecastFit, and a table that
	// is filled to forecastFill: the growth after a start usually levels out.
	forecastPoints = 6
	forecastSpan   = 30 * time.Second
	forecastFit    = 0.8
	forecastFill   = 50 // percent
	// horizon is the longest forecast.
	horizon = time.Hour
)

type trendPoint struct {
	at      time.Time
	entries int64
}

// trend has the last entries of a table, oldest first.
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

// fullIn returns the time until the entries reach the limit at the rate of the last minutes, 0 if there is
// no forecast: see the constants. The newer half of the points must rise too, at half the rate of all or
// more; otherwise the rise has ended.
func (t *trend) fullIn(entries, limit int64) time.Duration {
	n := len(t.points)
	if n < forecastPoints || entries >= limit || !reaches(entries, limit, forecastFill) ||
		t.points[n-1].at.Sub(t.points[0].at) < forecastSpan {
		return 0
	}
	rate, fit := fitLine(t.points)
	recent, _ := fitLine(t.points[n/2:])
	if rate <= 0 || fit < forecastFit || recent < rate/2 {
		return 0
	}
	seconds := float64(limit-entries) / rate
	if seconds > horizon.Seconds() {
		return 0
	}
	return max(time.Duration(seconds*float64(time.Second)), 1)
}

// fitLine fits a least-squares line to points. It returns its slope in entries per second, and r², the share
// of the variance that the line explains.
func fitLine(points []trendPoint) (slope, fit float64) {
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
