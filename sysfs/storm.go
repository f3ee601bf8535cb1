package sysfs

import "time"

// A reader that hears more often than stormEvents times in stormWindow pauses for stormPause after each read.
// Meanwhile the kernel merges equal events.
const (
	stormEvents = 100
	stormWindow = time.Second
	stormPause  = 10 * time.Millisecond
)

// stormGauge counts the reads of a window.
type stormGauge struct {
	since time.Time
	reads int
}

// isOn counts a read, and reports whether there are too many of them.
func (g *stormGauge) isOn(now time.Time) bool {
	if now.Sub(g.since) > stormWindow {
		g.since, g.reads = now, 0
	}
	g.reads++
	return g.reads > stormEvents
}
