package table_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/table"
)

// ramp returns the steps of a table that grows by so many entries every 5 s.
func ramp(from, by int64, steps int) []step {
	all := make([]step, steps)
	for i := range all {
		all[i] = of(from+int64(i)*by, 0, 0)
	}
	return all
}

func TestForecast(t *testing.T) {
	jitter := func(steps []step) []step {
		for i := range steps {
			steps[i].entries += int64(i%3) * 2
		}
		return steps
	}
	tests := []struct {
		name     string
		steps    []step
		want     time.Duration
		reported []string
	}{
		{"a line", ramp(500, 10, 11), 200 * time.Second, nil},
		{
			"a line past 80 %", ramp(700, 2, 52), 495 * time.Second,
			[]string{"50 high: the connection table is 80 % full: 800 of 1000 entries; full in about 8 min"},
		},
		{
			"a steep line", ramp(500, 50, 9), 10 * time.Second,
			[]string{"6 high: the connection table is 80 % full: 800 of 1000 entries; full in about 20 s"},
		},
		{"with noise", jitter(ramp(500, 10, 11)), 199 * time.Second, nil},
		{"too few points", ramp(500, 10, 5), 0, nil},
		{"too short a time", ramp(500, 10, 6), 0, nil},
		{"too empty a table", ramp(100, 10, 20), 0, nil},
		{"more than an hour", append(ramp(500, 0, 8), of(501, 0, 0)), 0, nil},
		{"a fall", ramp(700, -10, 11), 0, nil},
		{"level", ramp(700, 0, 11), 0, nil},
		{"a rise that has ended", append(ramp(500, 10, 13), ramp(625, 0, 12)...), 0, nil},
		{"up and down", append(append(ramp(500, 20, 8), ramp(660, -20, 8)...), ramp(500, 20, 8)...), 0, nil},
		{"full", append(ramp(900, 0, 1), of(1000, 0, 0)), 0, []string{
			"0 high: the connection table is 90 % full: 900 of 1000 entries",
			"1 critical: the connection table is full: 1000 of 1000 entries",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := table.NewMonitor(1)
			if diff := cmp.Diff(test.reported, script(t, m, test.steps)); diff != "" {
				t.Errorf("reported (-want +got):\n%s", diff)
			}
			last := test.steps[len(test.steps)-1]
			got := m.State(last.sample(start.Add(time.Hour))).Conditions[table.Connections].FullInSeconds
			if got > 0 != (test.want > 0) || math.Abs(got-test.want.Seconds()) > 1 {
				t.Errorf("full in: want %v, got %v s", test.want, got)
			}
		})
	}
}
