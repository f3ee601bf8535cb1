package table

import "time"

const (
	// Rates are averages over rateWindow, and over ratePoints samples at most.
	rateWindow = 15 * time.Second
	ratePoints = 16
)

// countersAt is the counters of one sample.
type countersAt struct {
	at       time.Time
	entries  *int64
	counters map[string]uint64
}

// counterHistory has the counters of the last samples of one load of the module, oldest first.
type counterHistory struct{ samples []countersAt }

// add adds the counters of a sample and returns by how much each has grown since the sample before. The
// history starts again if a counter has fallen: after a reload of the module, or when the counter of a
// processor wraps at 2³².
func (h *counterHistory) add(s Sample) map[string]uint64 {
	if len(s.Counters) == 0 {
		if s.Entries == nil && s.Max == nil {
			h.samples = nil // the module is absent
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
	h.samples = append(h.samples, countersAt{s.At, s.Entries, s.Counters})
	first := max(0, len(h.samples)-ratePoints)
	for first < len(h.samples)-2 && s.At.Sub(h.samples[first].at) > rateWindow {
		first++
	}
	h.samples = append(h.samples[:0], h.samples[first:]...)
	return grown
}

// growth returns by how much each counter has grown, nil if one has fallen.
func growth(before, after map[string]uint64) map[string]uint64 {
	grown := make(map[string]uint64, len(after))
	for name, n := range after {
		old, known := before[name]
		switch {
		case name == columnEntries || !known:
		case n < old:
			return nil
		default:
			grown[name] = n - old
		}
	}
	return grown
}

// rates returns the rates per second, from the oldest sample of the history to the newest.
func (h *counterHistory) rates() map[string]float64 {
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

// LossesOf returns what was lost, of the growth of the counters.
func LossesOf(grown map[string]uint64) Losses {
	return Losses{
		Dropped: int64(grown["drop"]), Evicted: int64(grown["early_drop"]),
		Refused: int64(grown["chainlength"]), LostRaces: int64(grown["insert_failed"]),
	}
}
