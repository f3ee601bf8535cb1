package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// story is a kernel, a desired state, and step by step what happens, is written and is recorded.
type story struct {
	name    string
	kernel  map[string]string
	desired *Desired
	steps   []step
}

type step struct {
	do     func(k *kernel, keep *Keeper)
	why    Reason
	writes []string
	events []string
	states []State
}

// again is a regular pass that writes and records nothing.
func again(states ...State) step { return step{why: Resync, states: states} }

// foreign is a write of max by somebody else.
func foreign(value string) func(*kernel, *Keeper) {
	return func(k *kernel, _ *Keeper) { k.set("max", value) }
}

// writeError makes writes of settings fail; a nil error makes them succeed again.
func writeError(err error, settings ...string) func(*kernel, *Keeper) {
	return func(k *kernel, _ *Keeper) {
		for _, name := range settings {
			k.writeErr[name] = err
		}
	}
}

func module(m Module) func(*kernel, *Keeper) {
	return func(k *kernel, _ *Keeper) { k.setModule(m) }
}

func TestPass(t *testing.T) {
	for _, one := range slices.Concat(
		repairStories(t), refusalStories(t), retryStories(t), failureStories(t), moduleStories(t), configStories(t),
	) {
		t.Run(one.name, one.run)
	}
}

func (one story) run(t *testing.T) {
	k := newKernel(one.kernel)
	keep := New(k.options(), one.desired)
	for i, s := range one.steps {
		if s.do != nil {
			s.do(k, keep)
		}
		keep.Pass(s.why, time.Now())
		var states []State
		for _, setting := range keep.Report().Settings {
			states = append(states, setting.State)
		}
		if diff := cmp.Diff(s.writes, k.takeWrites()); diff != "" {
			t.Errorf("step %d, writes (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(s.events, k.takeEvents()); diff != "" {
			t.Errorf("step %d, events (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(s.states, states); diff != "" {
			t.Errorf("step %d, states (-want +got):\n%s", i, diff)
		}
	}
}

func repairStories(t *testing.T) []story {
	t.Helper()
	return []story{
		{
			"repairs, then writes nothing",
			map[string]string{"max": "65536", "hashsize": "10240", "udp_timeout": "30"},
			desire(t, "hashsize=10000", "max=100000", "udp_timeout=30"),
			[]step{
				{
					why: Start, writes: []string{"max=100000"}, events: []string{"drift max repaired start"},
					states: []State{InSync, InSync, InSync},
				},
				again(InSync, InSync, InSync),
				again(InSync, InSync, InSync),
			},
		},
		{
			"a foreign write",
			map[string]string{"max": "100"}, desire(t, "max=100"),
			[]step{
				{why: Start, states: []State{InSync}},
				{
					do:     foreign("7"),
					why:    Write,
					writes: []string{"max=100"},
					events: []string{"drift max repaired write"},
					states: []State{InSync},
				},
				{why: Write, states: []State{InSync}}, // the event of our own write
				{
					do:     foreign("8"),
					why:    Resync,
					writes: []string{"max=100"},
					events: []string{"drift max repaired resync"},
					states: []State{InSync},
				},
			},
		},
		{
			"observe mode writes nothing and reports each value once",
			map[string]string{"max": "7"}, observing(desire(t, "max=100")),
			[]step{
				{why: Start, events: []string{"drift max observed start"}, states: []State{Drifted}},
				again(Drifted),
				{do: foreign("8"), why: Write, events: []string{"drift max observed write"}, states: []State{Drifted}},
				{do: foreign("100"), why: Write, states: []State{InSync}},
			},
		},
		{
			"a value that the kernel does not keep",
			map[string]string{"udp_timeout": "7"}, desire(t, "udp_timeout=100"),
			[]step{
				{
					do: func(k *kernel, _ *Keeper) {
						k.onWrite = func(_, _ string) (string, error) { return "50", nil }
					},
					why: Start, writes: []string{"udp_timeout=100"}, events: []string{"drift udp_timeout failed start"},
					states: []State{Drifted},
				},
				{why: Write, writes: []string{"udp_timeout=100"}, states: []State{Drifted}},
			},
		},
	}
}

func refusalStories(t *testing.T) []story {
	t.Helper()
	return []story{
		{
			"a missing capability is reported once for all settings, and not retried",
			map[string]string{"hashsize": "512", "max": "7", "udp_timeout": "9"},
			desire(t, "hashsize=1024", "max=100", "udp_timeout=30"),
			[]step{
				{
					do: writeError(syscall.EACCES, "hashsize", "max"), why: Start,
					writes: []string{"udp_timeout=30", "hashsize=1024", "max=100"},
					events: []string{"drift udp_timeout repaired start", "forbidden hashsize,max failed"},
					states: []State{Forbidden, Forbidden, InSync},
				},
				again(Forbidden, Forbidden, InSync),
				{do: foreign("8"), why: Write, states: []State{Forbidden, Forbidden, InSync}},
				{do: foreign("100"), why: Write, states: []State{Forbidden, InSync, InSync}},
			},
		},
		{
			"a missing capability is not reported again when somebody else changes the value",
			map[string]string{"hashsize": "512"}, desire(t, "hashsize=1024"),
			[]step{
				{
					do:     writeError(syscall.EACCES, "hashsize"),
					why:    Start,
					writes: []string{"hashsize=1024"},
					events: []string{"forbidden hashsize failed"},
					states: []State{Forbidden},
				},
				{do: func(k *kernel, _ *Keeper) { k.set("hashsize", "1024") }, why: Write, states: []State{InSync}},
				{
					do: func(k *kernel, _ *Keeper) { k.set("hashsize", "2048") }, why: Write,
					writes: []string{"hashsize=1024"}, states: []State{Forbidden},
				},
			},
		},
	}
}

func retryStories(t *testing.T) []story {
	t.Helper()
	return []story{
		{
			"refusals are retried after a reload of the module, and reported once",
			map[string]string{"hashsize": "512", "max": "7"}, desire(t, "hashsize=1024", "max=100"),
			[]step{
				{
					do: func(k *kernel, keep *Keeper) {
						writeError(syscall.EACCES, "max")(k, keep)
						writeError(syscall.ENOMEM, "hashsize")(k, keep)
					},
					why:    Start,
					writes: []string{"hashsize=1024", "max=100"},
					events: []string{"failed hashsize failed start", "forbidden max failed"},
					states: []State{Failed, Forbidden},
				},
				again(Failed, Forbidden),
				{
					do:     module(Module{Present: true, Instance: 2}),
					why:    ModuleChange,
					writes: []string{"hashsize=1024", "max=100"},
					events: []string{"module-unload", "module-load"},
					states: []State{Failed, Forbidden},
				},
			},
		},
		{
			"a configuration retries refusals and reports them again",
			map[string]string{"max": "7"}, desire(t, "max=100"),
			[]step{
				{
					do: writeError(syscall.EACCES, "max"), why: Start,
					writes: []string{"max=100"}, events: []string{"forbidden max failed"}, states: []State{Forbidden},
				},
				{
					why:    Config,
					writes: []string{"max=100"},
					events: []string{"forbidden max failed"},
					states: []State{Forbidden},
				},
			},
		},
	}
}

func failureStories(t *testing.T) []story {
	t.Helper()
	return []story{
		{
			"a failed setting does not stop the others, and is reported once",
			map[string]string{"hashsize": "512", "max": "7", "acct": "0"},
			desire(t, "hashsize=1024", "max=100", "acct=1"),
			[]step{
				{
					do: writeError(fmt.Errorf("out: %w", syscall.ENOMEM), "hashsize"), why: Start,
					writes: []string{"acct=1", "hashsize=1024", "max=100"},
					events: []string{
						"drift acct repaired start",
						"failed hashsize failed start",
						"drift max repaired start",
					},
					states: []State{Failed, InSync, InSync},
				},
				again(Failed, InSync, InSync),
				{
					do: writeError(nil, "hashsize"), why: Config,
					writes: []string{"hashsize=1024"}, events: []string{"drift hashsize repaired start"},
					states: []State{InSync, InSync, InSync},
				},
			},
		},
		{
			"a file that answers ENOENT for the value", // nf_log does, for a logger that does not exist
			map[string]string{"max": "7"}, desire(t, "max=100"),
			[]step{
				{
					do: writeError(syscall.ENOENT, "max"), why: Start,
					writes: []string{"max=100"}, events: []string{"failed max failed start"}, states: []State{Failed},
				},
				again(Failed),
			},
		},
		{
			"a failed read is reported once and does not stop a later repair",
			map[string]string{"max": "100"}, desire(t, "max=100"),
			[]step{
				{
					do: func(k *kernel, _ *Keeper) { k.readErr["max"] = syscall.EMFILE }, why: Start,
					events: []string{"failed max failed"}, states: []State{Failed},
				},
				again(Failed),
				{
					do:     func(k *kernel, _ *Keeper) { delete(k.readErr, "max"); k.set("max", "7") },
					why:    Write,
					writes: []string{"max=100"},
					events: []string{"drift max repaired write"},
					states: []State{InSync},
				},
			},
		},
	}
}

func moduleStories(t *testing.T) []story {
	t.Helper()
	const repaired = "drift max repaired module-load"
	return []story{
		{
			"loads and unloads",
			map[string]string{"max": "65536"}, desire(t, "max=100"),
			[]step{
				{do: module(Module{}), why: Start, states: []State{Pending}},
				again(Pending),
				{
					do: module(Module{Present: true, Instance: 2}), why: ModuleChange,
					writes: []string{"max=100"}, events: []string{"module-load", repaired}, states: []State{InSync},
				},
				{
					do: func(k *kernel, _ *Keeper) {
						k.setModule(Module{Present: true, Instance: 3})
						k.set("max", "65536")
					},
					why:    Resync, // the uevents were lost
					writes: []string{"max=100"},
					events: []string{"module-unload", "module-load", repaired},
					states: []State{InSync},
				},
				{do: module(Module{}), why: ModuleChange, events: []string{"module-unload"}, states: []State{Pending}},
			},
		},
		{
			"an unload between read and write",
			map[string]string{"max": "7"}, desire(t, "max=100"),
			[]step{{
				do: func(k *kernel, _ *Keeper) {
					k.onWrite = func(_, _ string) (string, error) {
						k.module = Module{}
						return "", syscall.ENOENT
					}
				}, why: Start,
				writes: []string{"max=100"}, states: []State{Pending},
			}},
		},
		{
			"a setting that this kernel does not have",
			map[string]string{"max": "100"}, desire(t, "max=100", "helper=1"),
			[]step{{why: Start, states: []State{InSync, Unsupported}}},
		},
	}
}

func configStories(t *testing.T) []story {
	t.Helper()
	return []story{{
		"a new configuration",
		map[string]string{"max": "100", "acct": "0"}, desire(t, "max=100", "acct=0"),
		[]step{
			{why: Start, states: []State{InSync, InSync}},
			{
				do: func(_ *kernel, keep *Keeper) { keep.SetDesired(desire(t, "max=200"), Config) }, why: Config,
				writes: []string{"max=200"}, events: []string{"drift max repaired config"}, states: []State{InSync},
			},
			{ // acct is no longer configured
				do:     func(k *kernel, _ *Keeper) { k.set("acct", "1") },
				why:    Write,
				states: []State{InSync},
			},
		},
	}}
}

// A firewall that restarts a hundred times in a second does not begin a contest.
func TestLoadsBeginNoContest(t *testing.T) {
	k := newKernel(map[string]string{"max": "100"})
	keep := New(k.options(), desire(t, "max=100"))
	keep.Pass(Start, time.Now())
	for i := range 100 {
		k.setModule(Module{Present: true, Instance: uint64(i + 2)})
		k.set("max", "65536")
		keep.Pass(ModuleChange, time.Now())
		if got := k.get("max"); got != "100" {
			t.Fatalf("max is %s after load %d", got, i+1)
		}
	}
	if s := keep.Report(); s.Loads != 100 || s.Settings[0].State != InSync {
		t.Errorf("%d loads, max is %s, want 100 loads, in-sync", s.Loads, s.Settings[0].State)
	}
}

// A file that goes away with its module during a pass is not taken for one that the kernel does
// not have.
func TestUnloadDuringReads(t *testing.T) {
	k := newKernel(map[string]string{"max": "100", "acct": "1"})
	reads := 0
	k.onRead = func(string) {
		if reads++; reads == 2 {
			k.module = Module{}
		}
	}
	keep := New(k.options(), desire(t, "max=100", "acct=1"))
	keep.Pass(Start, time.Now())
	for _, s := range keep.Report().Settings {
		if s.State != Pending {
			t.Errorf("%s is %s, want %s", s.Name, s.State, Pending)
		}
	}
	if k.moves != 1 {
		t.Errorf("the watches were set %d times, want once, at the unload", k.moves)
	}
}

func TestLoweringMaxUnderTheCountWarns(t *testing.T) {
	k := newKernel(map[string]string{"max": "1000"})
	k.count = 900
	New(k.options(), desire(t, "max=500")).Pass(Start, time.Now())
	if len(k.events) != 1 || !strings.Contains(k.events[0].Message, "the table holds 900 connections") {
		t.Errorf("events %+v, want one that warns of 900 connections", k.events)
	}
}

func TestPassed(t *testing.T) {
	k := newKernel(map[string]string{"max": "1"})
	var woke []Reason
	k.onPassed = func(why Reason, took time.Duration) {
		if woke = append(woke, why); took < 0 || took > time.Minute {
			t.Errorf("the pass took %s", took)
		}
		if k.get("max") != "500" {
			t.Errorf("max is %s when the pass is reported as over", k.get("max"))
		}
	}
	keep := New(k.options(), desire(t, "max=500"))
	keep.Pass(Start, time.Now())
	keep.Pass(Write|Overflow, time.Now())
	if diff := cmp.Diff([]Reason{Start, Write | Overflow}, woke); diff != "" {
		t.Errorf("passes (-want +got):\n%s", diff)
	}
}
