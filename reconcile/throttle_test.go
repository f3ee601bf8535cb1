package reconcile

import (
	"testing"
	"time"
)

// A repair leaves the burst window when it is older than the window, not when it is just as old.
func TestBurstWindowEdge(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		after          time.Duration
		repair, begins bool
	}{
		"within the window": {burstWindow - 1, false, true},
		"at its edge":       {burstWindow, false, true},
		"after it":          {burstWindow + 1, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var limit throttle
			for i := range burst {
				if repair, begins := limit.allow(start); !repair || begins {
					t.Fatalf("drift %d: repair %t, contest begins %t", i+1, repair, begins)
				}
			}
			repair, begins := limit.allow(start.Add(test.after))
			if repair != test.repair || begins != test.begins || limit.isContested() != test.begins {
				t.Errorf("repair %t, contest begins %t, want %t and %t", repair, begins, test.repair, test.begins)
			}
		})
	}
}

// While contested, repairs wait 1, 2, 4, … 30 seconds, and the contest ends settleAfter its last drift.
func TestContestedRepairs(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var limit throttle
	for range burst + 1 {
		limit.allow(now)
	}
	for _, delay := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
		if next := limit.nextPass(true); !next.Equal(now.Add(delay * time.Second)) {
			t.Fatalf("the next repair is in %s, want %d s", next.Sub(now), delay)
		}
		if repair, _ := limit.allow(now.Add(delay*time.Second - 1)); repair {
			t.Fatalf("a repair before %d s", delay)
		}
		now = now.Add(delay * time.Second)
		if repair, begins := limit.allow(now); !repair || begins {
			t.Fatalf("no repair after %d s", delay)
		}
	}
	end := now.Add(settleAfter)
	if next := limit.nextPass(false); !next.Equal(end) {
		t.Errorf("the next pass is at %s, want %s", next, end)
	}
	if limit.endIfOver(end.Add(-1)) || !limit.endIfOver(end) || limit.isContested() {
		t.Error("the contest does not end just when its last drift is settleAfter ago")
	}
}
