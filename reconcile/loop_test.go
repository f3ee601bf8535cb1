package reconcile

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// run starts a keeper's loop in a synctest bubble and returns a function that ends it.
func run(t *testing.T, keep *Keeper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- keep.Run(ctx) }()
	synctest.Wait()
	select {
	case <-keep.Ready():
	default:
		t.Fatal("not ready after the first pass")
	}
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run = %v, want %v", err, context.Canceled)
		}
	}
}

func TestResyncFindsSilentWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		d := desire(t, "max=100")
		d.Resync = 5 * time.Second
		defer run(t, New(k.options(), d))()
		k.set("max", "7")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if got := k.get("max"); got != "7" {
			t.Fatalf("max is %s after 4 s, want no pass yet", got)
		}
		time.Sleep(1300 * time.Millisecond) // 5 s and a twentieth of jitter
		synctest.Wait()
		if diff := cmp.Diff([]string{"drift max repaired resync"}, k.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// While the guard reports every write, a longer resync applies.
func TestGuardedResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		opts, passes := k.options(), 0
		opts.Attributor = &attributor{kernel: k}
		k.onPassed = func(Reason, time.Duration) { passes++ }
		d := desire(t, "max=100")
		d.Resync, d.GuardedResync = 5*time.Second, 30*time.Second
		stop := run(t, New(opts, d))
		time.Sleep(95 * time.Second)
		synctest.Wait()
		stop()
		if passes != 4 {
			t.Errorf("%d passes in 95 s, want 4: the first one and one each 30 s", passes)
		}
	})
}

func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		opts, beats := k.options(), 0
		opts.Heartbeat = func() time.Duration { return 10 * time.Second }
		k.onPassed = func(Reason, time.Duration) { beats++ }
		d := desire(t, "max=100") // no resync at all
		stop := run(t, New(opts, d))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		stop()
		if beats != 7 {
			t.Errorf("%d beats in 61 s, want 7: one for the first pass and one each 10 s", beats)
		}
	})
}

// A contest is a burst of repairs at once, then fewer and fewer, one event when it begins and one
// when it has settled.
func TestContest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		keep := New(k.options(), desire(t, "max=100"))
		defer run(t, keep)()
		fight := func(times int, pause time.Duration) {
			for i := range times {
				k.set("max", strconv.Itoa(1000+i))
				keep.Wake(Write)
				synctest.Wait()
				time.Sleep(pause)
			}
		}
		fight(100, 493*time.Millisecond) // out of step with the repairs, which come on whole seconds
		events, writes := k.takeEvents(), k.takeWrites()
		if len(events) != burst+1 || events[burst] != "contested max write" {
			t.Errorf("events %q, want %d drifts and one contested", events, burst)
		}
		// 10 at once; then after 1, 2, 4, 8, 16 s and not again within 50 s.
		if len(writes) < burst+4 || len(writes) > burst+5 {
			t.Errorf("%d writes in 50 s, want 10 at once and 4 or 5 more", len(writes))
		}
		if s := keep.Report().Settings[0]; s.State != Contested || s.Drifts != 100 {
			t.Errorf("state %s with %d drifts, want contested with 100", s.State, s.Drifts)
		}
		time.Sleep(maxDelay)
		synctest.Wait()
		if got := k.get("max"); got != "100" {
			t.Errorf("max is %s %s after the last foreign write, want it repaired", got, maxDelay)
		}
		time.Sleep(settleAfter)
		synctest.Wait()
		if diff := cmp.Diff([]string{"settled max write"}, k.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		fight(1, time.Second)
		if diff := cmp.Diff([]string{"drift max repaired write"}, k.takeEvents()); diff != "" {
			t.Errorf("after it settled (-want +got):\n%s", diff)
		}
	})
}

// busyStates are states of a keeper that need passes without events, and the most passes in an
// hour of each.
var busyStates = []struct {
	name  string
	mode  Mode
	setup func(k *kernel, keep *Keeper)
	most  int64
}{
	{"contested, then left alone", Enforce, func(k *kernel, keep *Keeper) { contest(k, keep) }, 60},
	{"contested in observe mode", Observe, func(k *kernel, keep *Keeper) { contest(k, keep) }, 60},
	{"contested, then the module goes", Enforce, func(k *kernel, keep *Keeper) {
		contest(k, keep)
		k.setModule(Module{})
		keep.Wake(ModuleChange)
	}, 60},
	{"contested, then forbidden", Enforce, func(k *kernel, keep *Keeper) {
		k.writeErr["max"] = errForbidden
		contest(k, keep)
	}, 60},
	{"contested, then refused", Enforce, func(k *kernel, keep *Keeper) {
		contest(k, keep)
		k.mu.Lock()
		k.writeErr["max"] = errors.New("no memory")
		k.mu.Unlock()
		time.Sleep(2 * time.Second)
	}, 200},
	{"contested, then unreadable", Enforce, func(k *kernel, keep *Keeper) {
		contest(k, keep)
		k.mu.Lock()
		k.readErr["max"] = syscall.EMFILE
		k.mu.Unlock()
		keep.Wake(Write)
	}, 60},
	{"a value that answers ENOENT", Enforce, func(k *kernel, keep *Keeper) {
		k.writeErr["max"] = syscall.ENOENT
		k.set("max", "7")
		keep.Wake(Write)
	}, 60},
	{"refused by the kernel", Enforce, func(k *kernel, keep *Keeper) {
		k.writeErr["max"] = errors.New("no memory")
		k.set("max", "7")
		keep.Wake(Write)
	}, 60},
	{"a value that the kernel does not keep", Enforce, func(k *kernel, keep *Keeper) {
		k.onWrite = func(_, _ string) (string, error) { return "50", nil }
		k.set("max", "7")
		keep.Wake(Write)
	}, 2*3600/30 + 60},
	{"a module whose load never ends", Enforce, func(k *kernel, keep *Keeper) {
		k.setModule(Module{InTransition: true})
		keep.Wake(ModuleChange)
	}, 3600 + 60},
}

// No state makes the loop spin.
func TestNoSpin(t *testing.T) {
	for _, tt := range busyStates {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKernel(map[string]string{"max": "100"})
				passes := atomic.Int64{}
				k.onPassed = func(Reason, time.Duration) { passes.Add(1) }
				d := desire(t, "max=100")
				d.Mode = tt.mode
				keep := New(k.options(), d)
				defer run(t, keep)()
				tt.setup(k, keep)
				synctest.Wait()
				passes.Store(0)
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := passes.Load(); got > tt.most {
					t.Errorf("%d passes in an hour, want %d at most", got, tt.most)
				}
			})
		})
	}
}

// contest writes max as another writer until it is contested.
func contest(k *kernel, keep *Keeper) {
	for i := range 3 * burst {
		k.set("max", strconv.Itoa(1000+i))
		keep.Wake(Write)
		synctest.Wait()
	}
}

// Wakes during a pass make one more pass, with all their reasons. The alarm rings for the earliest.
func TestWakesMerge(t *testing.T) {
	alarm := &fakeAlarm{}
	w := &waker{alarm: alarm}
	start := time.Now()
	w.rest(start, time.Minute)
	w.wake(Write, start, 2*time.Millisecond)
	w.wake(ModuleChange, start.Add(time.Millisecond), 0)
	w.wake(Write, start.Add(time.Millisecond), 2*time.Millisecond)
	if diff := cmp.Diff([]time.Duration{time.Minute, 2 * time.Millisecond, 0}, alarm.set); diff != "" {
		t.Errorf("the alarm was set to (-want +got):\n%s", diff)
	}
	w.wake(Guard, start.Add(3*time.Second), 0) // after it rang, before the loop calls take
	now := start.Add(4 * time.Second)
	reasons, since := w.take(now)
	if want := Write | ModuleChange | Guard; reasons != want || !since.Equal(start) {
		t.Errorf("took %s since %s, want %s since the first", reasons, since, want)
	}
	if reasons, since := w.take(now); reasons != Resync || !since.Equal(now) {
		t.Errorf("took %s since %s from an empty slot, want a resync", reasons, since)
	}
	alarm.set = nil
	w.wake(Write, now, time.Millisecond) // during the pass
	w.rest(now, time.Minute)
	if diff := cmp.Diff([]time.Duration{time.Millisecond}, alarm.set); diff != "" {
		t.Errorf("after a wake during the pass the alarm was set to (-want +got):\n%s", diff)
	}
}

// fakeAlarm is an Alarm that records what it is set to.
type fakeAlarm struct {
	Alarm
	set []time.Duration
}

func (a *fakeAlarm) Set(d time.Duration) { a.set = append(a.set, d) }

// A value that the kernel refused is retried with backoff, and repaired when the kernel accepts it.
func TestRefusedIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"hashsize": "512"})
		k.writeErr["hashsize"] = errors.New("no memory")
		defer run(t, New(k.options(), desire(t, "hashsize=1024")))()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := len(k.takeWrites()); got != 4 { // at 0, 1, 3, 7 s
			t.Errorf("%d tries in 10 s, want 4", got)
		}
		k.mu.Lock()
		delete(k.writeErr, "hashsize")
		k.mu.Unlock()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want := []string{"failed hashsize failed start", "drift hashsize repaired start"}
		if diff := cmp.Diff(want, k.takeEvents()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
}

// Another writer that is faster than the repair is repaired by another pass, without an event.
func TestFasterWriterIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "7"})
		k.onWrite = func(_, _ string) (string, error) {
			k.onWrite = nil
			return "9", nil
		}
		defer run(t, New(k.options(), desire(t, "max=100")))()
		synctest.Wait()
		if got := k.get("max"); got != "100" {
			t.Errorf("max is %s, want it repaired without an event", got)
		}
	})
}

// A file that goes away before the write and is back at once is repaired by another pass.
func TestFileThatIsBackIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "7"})
		k.onWrite = func(_, _ string) (string, error) {
			k.onWrite = nil
			delete(k.values, "max")
			return "", syscall.ENOENT
		}
		k.onPassed = func(Reason, time.Duration) {
			if k.get("max") == "" {
				k.set("max", "65536")
			}
		}
		defer run(t, New(k.options(), desire(t, "max=100")))()
		synctest.Wait()
		if got := k.get("max"); got != "100" {
			t.Errorf("max is %s, want it repaired without an event", got)
		}
	})
}

// The end of a load is found without an event: kernels before 5.11 announce a load before it is done.
func TestLoadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "65536"})
		k.setModule(Module{InTransition: true})
		defer run(t, New(k.options(), desire(t, "max=100")))()
		time.Sleep(5 * time.Millisecond) // looks after 2 and 4 ms
		k.setModule(Module{Present: true, Instance: 2})
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if got := k.get("max"); got != "100" {
			t.Errorf("max is %s 20 ms after the end of the load, want it repaired", got)
		}
	})
}

// A pass that is blocked, as in the resize of a large hash table, does not delay Report.
func TestReportDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		keep := New(k.options(), desire(t, "max=100"))
		keep.Pass(Start, time.Now())
		k.set("max", "7")
		resized := make(chan struct{})
		k.onWrite = func(_, value string) (string, error) {
			<-resized
			return value, nil
		}
		done := make(chan struct{})
		go func() {
			keep.Pass(Write, time.Now())
			close(done)
		}()
		synctest.Wait() // the pass is in its write
		before := keep.Report().Settings[0]
		if before.State != InSync || before.Drifts != 0 {
			t.Errorf("during the pass: %+v, want the report of the pass before", before)
		}
		close(resized)
		<-done
		after := keep.Report().Settings[0]
		if after.State != InSync || after.Drifts != 1 || after.LastDrift.Found != sysfs.Number(7) {
			t.Errorf("after the pass: %+v", after)
		}
	})
}

func BenchmarkQuietPass(b *testing.B) {
	k := newKernel(map[string]string{"max": "100", "hashsize": "512", "acct": "1"})
	keep := New(k.options(), desire(b, "max=100", "hashsize=512", "acct=1"))
	keep.Pass(Start, time.Now())
	for b.Loop() {
		keep.Pass(Resync, time.Now())
	}
}
