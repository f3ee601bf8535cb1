package table

import (
	"testing"
	"time"
)

func TestMonitorLimits(t *testing.T) {
	m, limit := NewMonitor(2), int64(1000)
	for i := range 10_000 {
		n := int64(i % 1000)
		m.Add(Sample{
			At: time.Unix(1_700_000_000, int64(i)*1e6), Figures: Figures{Entries: &n, Max: &limit},
			Counters: map[string]uint64{"drop": 0},
		})
	}
	if len(m.points) != 2 || len(m.connections.trend.points) != trendPoints || len(m.counters.samples) != ratePoints {
		t.Errorf("%d points, %d of a trend, %d samples", len(m.points), len(m.connections.trend.points),
			len(m.counters.samples))
	}
}
