package table

import "time"

const (
	columnDrop         = "drop"
	columnEarlyDrop    = "early_drop"
	columnInsertFailed = "insert_failed"

	// rateWindow smooths rates over the last samples; ratePoints bounds those.
	rateWindow = 15 * time.Second
	ratePoints = 16
)

type counted struct {
	at       time.Time
	entries  *int64
	counters map[string]uint64
}

// history is the last counters of one load of the module, oldest first.
type history struct{ samples []counted }

// add takes the counters of a sample and gives by how much each has grown since the one
// before. It begins anew when one has fallen: with the module, when they start anew, and
// when one of a processor passes 2³².
func (h *history) add(s Sample) map[string]uint64 {
	if len(s.Counters) == 0 {
		if s.Entries == nil && s.Max == nil {
			h.samples = nil // with the module
		}
		return nil
	}
	n := len(h.samples)
	var grown map[string]uint64
	if n > 0 {
		grown = growth(h.samples[n-1].counters, s.Counters)
		if grown == nil || s.At.Before(h.samples[n-1].at) { // the clock was set back
			h.samples = nil
		}
	}
	h.samples = append(h.samples, counted{s.At, s.Entries, s.Counters})
	first := max(0, len(h.samples)-ratePoints)
	for first < len(h.samples)-2 && s.At.Sub(h.samples[first].at) > rateWindow {
		first++
	}
	h.samples = append(h.samples[:0], h.samples[first:]...)
	return grown
}

// growth is nil when a counter has fallen.
func growth(before, after map[string]uint64) map[string]uint64 {
	grown := make(map[string]uint64, len(after))
	for name, n := range after {
		old, there := before[name]
		switch {
		case name == columnEntries || !there:
		case n < old:
			return nil
		default:
			grown[name] = n - old
		}
	}
	return grown
}

// rates are per second, from the oldest sample kept to the newest.
func (h *history) rates() map[string]float64 {
	rates := map[string]float64{}
	n := len(h.samples)
	if n < 2 {
		return rates
	}
	first, last := h.samples[0], h.samples[n-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return rates
	}
	for name, grown := range growth(first.counters, last.counters) {
		rates[name] = float64(grown) / seconds
	}
	if first.entries != nil && last.entries != nil {
		rates[columnEntries] = float64(*last.entries-*first.entries) / seconds
	}
	return rates
}

// DropCounters returns the names of the counters of packets that were dropped: the table was
// full, an entry was evicted for a new one, or an entry could not be inserted.
func DropCounters() []string { return []string{columnDrop, columnEarlyDrop, columnInsertFailed} }

// Drops adds up the DropCounters.
func Drops(counters map[string]uint64) int64 {
	n := uint64(0)
	for _, name := range DropCounters() {
		n += counters[name]
	}
	return int64(n)
}
