package reconcile

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const maxFile = "nf_conntrack_max"

// A write that an event reports is repaired without a pass; the pass records it.
func TestRepairedBeforeThePass(t *testing.T) {
	k := newKernel(map[string]string{"max": "100", "acct": "1"})
	keep := New(k.options(), desire(t, "max=100", "acct=1"))
	keep.Pass(Start, time.Now())
	k.set("max", "7")
	keep.Wrote([]byte(maxFile))
	if got, events := k.get("max"), k.takeEvents(); got != "100" || len(events) > 0 {
		t.Fatalf("before the pass max is %s with the events %q, want it repaired and no event", got, events)
	}
	keep.Wrote([]byte(maxFile)) // the event of the repair's own write
	k.takeWrites()
	reasons, since := keep.waker.take(time.Now())
	keep.Pass(reasons, since)
	if diff := cmp.Diff([]string{"drift max repaired write"}, k.takeEvents()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s := keep.Report().Settings[0]
	if writes := k.takeWrites(); len(writes) > 0 || s.State != InSync || s.Drifts != 1 ||
		s.LastDrift.Found != sysfs.Number(7) || s.LastDrift.RepairedIn == 0 {
		t.Errorf("after the pass: %+v and the writes %q, want one repaired drift of 7 and no write", s, writes)
	}
}

// The pass begins some time after the event, so that the writer has its processor back first.
func TestPassAfterEarlyRepairWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		keep := New(k.options(), desire(t, "max=100"))
		defer run(t, keep)()
		k.set("max", "7")
		keep.Wrote([]byte(maxFile))
		time.Sleep(passDelay - 1)
		synctest.Wait()
		if events := k.takeEvents(); len(events) > 0 {
			t.Errorf("events %q before the delay was over", events)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if diff := cmp.Diff([]string{"drift max repaired write"}, k.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// passOnly are the states in which a write is not repaired before the pass.
var passOnly = []struct {
	name  string
	file  string
	wants []string
	setup func(t *testing.T, k *kernel, keep *Keeper)
	// delayed is true where the pass need not begin at once.
	delayed bool
}{
	{"mode observe", maxFile, nil, func(t *testing.T, _ *kernel, keep *Keeper) {
		d := desire(t, "max=100")
		d.Mode = Observe
		keep.SetDesired(d, Config)
		keep.Pass(Config, time.Now())
	}, true},
	{"a new configuration", maxFile, nil, func(t *testing.T, _ *kernel, keep *Keeper) {
		keep.SetDesired(desire(t, "max=7"), Config)
	}, false},
	{"a contest", maxFile, nil, func(_ *testing.T, k *kernel, keep *Keeper) {
		for i := range burst + 1 {
			k.set("max", strconv.Itoa(1000+i))
			keep.Pass(Write, time.Now())
		}
		k.set("max", "100")
		keep.Pass(Write, time.Now())
	}, true},
	{"a burst that is used up", maxFile, nil, func(_ *testing.T, k *kernel, keep *Keeper) {
		for i := range burst {
			k.set("max", strconv.Itoa(1000+i))
			keep.Pass(Write, time.Now())
		}
	}, true},
	{"a setting that may not be written", maxFile, nil, func(_ *testing.T, k *kernel, keep *Keeper) {
		k.writeErr["max"] = errForbidden
		k.set("max", "8")
		keep.Pass(Write, time.Now())
	}, false},
	{"the hash size", "nf_conntrack_buckets", []string{"hashsize=512"}, nil, false},
	{"a threshold that bounds another", "nf_conntrack_frag6_high_thresh",
		[]string{"frag6_high_thresh=900", "frag6_low_thresh=800"}, nil, false},
	{"a ceiling that has drifted too", maxFile, []string{"hashsize=512", "max=100"},
		func(_ *testing.T, k *kernel, _ *Keeper) { k.set("hashsize", "1024") }, false},
	{"a pass that is under way", maxFile, nil, func(t *testing.T, _ *kernel, keep *Keeper) {
		keep.mu.Lock()
		t.Cleanup(keep.mu.Unlock)
	}, false},
	{"a file of no wanted setting", "nf_conntrack_acct", nil, nil, true},
}

func TestLeftToThePass(t *testing.T) {
	for _, tt := range passOnly {
		t.Run(tt.name, func(t *testing.T) {
			k := newKernel(map[string]string{
				"max": "100", "hashsize": "512", "frag6_high_thresh": "900", "frag6_low_thresh": "800",
			})
			opts, alarm := k.options(), &fakeAlarm{}
			opts.Alarm = alarm
			wants := tt.wants
			if wants == nil {
				wants = []string{"max=100"}
			}
			keep := New(opts, desire(t, wants...))
			keep.Pass(Start, time.Now())
			if tt.setup != nil {
				tt.setup(t, k, keep)
			}
			keep.waker.take(time.Now())
			k.takeWrites()
			k.set("max", "7")
			k.set("frag6_high_thresh", "7")
			alarm.set = nil
			keep.Wrote([]byte(tt.file))
			if writes := k.takeWrites(); len(writes) > 0 {
				t.Errorf("wrote %q, want it left to the pass", writes)
			}
			want := []time.Duration{0}
			if tt.delayed {
				want[0] = passDelay
			}
			if diff := cmp.Diff(want, alarm.set); diff != "" {
				t.Errorf("the pass begins after (-want +got):\n%s", diff)
			}
		})
	}
}

// The pass that finds another value than the one that was written says so, and repairs that too.
func TestWrittenAgainAfterTheEarlyRepair(t *testing.T) {
	k := newKernel(map[string]string{"max": "100"})
	keep := New(k.options(), desire(t, "max=100"))
	keep.Pass(Start, time.Now())
	k.set("max", "7")
	keep.Wrote([]byte(maxFile))
	k.set("max", "9")
	keep.Wrote([]byte(maxFile))
	keep.Pass(Write, time.Now())
	want := []string{"drift max failed write", "drift max repaired write"}
	if diff := cmp.Diff(want, k.takeEvents()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := k.get("max"); got != "100" {
		t.Errorf("max is %s, want 100", got)
	}
}

// An error of the early write is handled by the pass.
func TestRefusedEarlyRepair(t *testing.T) {
	k := newKernel(map[string]string{"max": "100"})
	keep := New(k.options(), desire(t, "max=100"))
	keep.Pass(Start, time.Now())
	k.writeErr["max"] = errors.New("no memory")
	k.set("max", "7")
	keep.Wrote([]byte(maxFile))
	keep.Pass(Write, time.Now())
	if diff := cmp.Diff([]string{"failed max failed write"}, k.takeEvents()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A pass without changes allocates nothing.
func TestQuietPassAllocatesNothing(t *testing.T) {
	k := newKernel(map[string]string{"max": "100", "hashsize": "512", "acct": "1"})
	keep := New(k.options(), desire(t, "max=100", "hashsize=512", "acct=1"))
	keep.Pass(Start, time.Now())
	if n := testing.AllocsPerRun(100, func() { keep.Pass(Resync, time.Now()) }); n > 0 {
		t.Errorf("%.0f allocations in a quiet pass, want none", n)
	}
}
