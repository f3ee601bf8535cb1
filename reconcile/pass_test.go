package reconcile

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestPass tells stories: a kernel, what is wanted, and step by step what
// happens, what is written and what is said.
func TestPass(t *testing.T) {
	enomem := fmt.Errorf("out: %w", syscall.ENOMEM)
	type step struct {
		do      func(k *kernel, keep *Keeper)
		why     Reason
		written []string
		said    []string
		states  []State
	}
	again := step{why: Resync}
	with := func(s step, states ...State) step { s.states = states; return s }
	tests := []struct {
		name   string
		kernel map[string]string
		want   *Desired
		steps  []step
	}{
		{
			"repairs, then writes nothing",
			map[string]string{"max": "65536", "hashsize": "10240", "udp_timeout": "30"},
			desire(t, "hashsize=10000", "max=100000", "udp_timeout=30"),
			[]step{
				{why: Start, written: []string{"max=100000"}, said: []string{"drift max repaired start"}, states: []State{InSync, InSync, InSync}},
				with(again, InSync, InSync, InSync),
				with(again, InSync, InSync, InSync),
			},
		},
		{
			"a foreign write",
			map[string]string{"max": "100"}, desire(t, "max=100"),
			[]step{
				{why: Start, states: []State{InSync}},
				{do: func(k *kernel, _ *Keeper) { k.set("max", "7") }, why: Write, written: []string{"max=100"}, said: []string{"drift max repaired write"}, states: []State{InSync}},
				{why: Write, states: []State{InSync}}, // our own write is heard, and is no drift
				{do: func(k *kernel, _ *Keeper) { k.set("max", "8") }, why: Resync, written: []string{"max=100"}, said: []string{"drift max repaired resync"}, states: []State{InSync}},
			},
		},
		{
			"observe mode writes nothing and says each value once",
			map[string]string{"max": "7"}, observing(desire(t, "max=100")),
			[]step{
				{why: Start, said: []string{"drift max observed start"}, states: []State{Drifted}},
				with(again, Drifted),
				{do: func(k *kernel, _ *Keeper) { k.set("max", "8") }, why: Write, said: []string{"drift max observed write"}, states: []State{Drifted}},
				{do: func(k *kernel, _ *Keeper) { k.set("max", "100") }, why: Write, states: []State{InSync}},
			},
		},
		{
			"one that fails does not keep the others, and is said once",
			map[string]string{"hashsize": "512", "max": "7", "acct": "0"}, desire(t, "hashsize=1024", "max=100", "acct=1"),
			[]step{
				{
					do: func(k *kernel, _ *Keeper) { k.writeErr["hashsize"] = enomem }, why: Start,
					written: []string{"acct=1", "hashsize=1024", "max=100"},
					said:    []string{"drift acct repaired start", "failed hashsize failed start", "drift max repaired start"},
					states:  []State{Failed, InSync, InSync},
				},
				with(again, Failed, InSync, InSync),
				{
					do:  func(k *kernel, _ *Keeper) { delete(k.writeErr, "hashsize") },
					why: Config, written: []string{"hashsize=1024"}, said: []string{"drift hashsize repaired start"},
					states: []State{InSync, InSync, InSync},
				},
			},
		},
		{
			"want of rights is said once for all, and not tried again",
			map[string]string{"hashsize": "512", "max": "7", "udp_timeout": "9"}, desire(t, "hashsize=1024", "max=100", "udp_timeout=30"),
			[]step{
				{
					do: func(k *kernel, _ *Keeper) {
						k.writeErr["hashsize"], k.writeErr["max"] = syscall.EACCES, syscall.EACCES
					}, why: Start, written: []string{"udp_timeout=30", "hashsize=1024", "max=100"},
					said:   []string{"drift udp_timeout repaired start", "forbidden hashsize,max failed"},
					states: []State{Forbidden, Forbidden, InSync},
				},
				with(again, Forbidden, Forbidden, InSync),
				{do: func(k *kernel, _ *Keeper) { k.set("max", "8") }, why: Write, states: []State{Forbidden, Forbidden, InSync}},
				{do: func(k *kernel, _ *Keeper) { k.set("max", "100") }, why: Write, states: []State{Forbidden, InSync, InSync}},
			},
		},
		{
			"the module's life",
			map[string]string{"max": "65536"}, desire(t, "max=100"),
			[]step{
				{do: func(k *kernel, _ *Keeper) { k.setModule(Module{}) }, why: Start, states: []State{Pending}},
				with(again, Pending),
				{
					do:      func(k *kernel, _ *Keeper) { k.setModule(Module{Present: true, Instance: 2}) },
					why:     ModuleMoved,
					written: []string{"max=100"}, said: []string{"module-load", "drift max repaired module-load"}, states: []State{InSync},
				},
				{
					do: func(k *kernel, _ *Keeper) {
						k.setModule(Module{Present: true, Instance: 3})
						k.set("max", "65536")
					}, why: Resync, // the uevents were lost
					written: []string{"max=100"}, said: []string{"module-unload", "module-load", "drift max repaired module-load"}, states: []State{InSync},
				},
				{do: func(k *kernel, _ *Keeper) { k.setModule(Module{}) }, why: ModuleMoved, said: []string{"module-unload"}, states: []State{Pending}},
			},
		},
		{
			"the module goes between reading and writing",
			map[string]string{"max": "7"}, desire(t, "max=100"),
			[]step{{
				do: func(k *kernel, _ *Keeper) {
					k.onWrite = func(_, _ string) (string, error) {
						k.module = Module{}
						return "", syscall.ENOENT
					}
				}, why: Start,
				written: []string{"max=100"}, states: []State{Pending},
			}},
		},
		{
			"a file that answers ENOENT for the value", // nf_log does, for a logger that is not there
			map[string]string{"max": "7"}, desire(t, "max=100"),
			[]step{
				{
					do: func(k *kernel, _ *Keeper) { k.writeErr["max"] = syscall.ENOENT }, why: Start,
					written: []string{"max=100"}, said: []string{"failed max failed start"}, states: []State{Failed},
				},
				with(again, Failed),
			},
		},
		{
			"trouble with reading is said once and holds up nothing",
			map[string]string{"max": "100"}, desire(t, "max=100"),
			[]step{
				{do: func(k *kernel, _ *Keeper) { k.readErr["max"] = syscall.EMFILE }, why: Start, said: []string{"failed max failed"}, states: []State{Failed}},
				with(again, Failed),
				{
					do:  func(k *kernel, _ *Keeper) { delete(k.readErr, "max"); k.set("max", "7") },
					why: Write, written: []string{"max=100"}, said: []string{"drift max repaired write"}, states: []State{InSync},
				},
			},
		},
		{
			"a setting that this kernel does not have",
			map[string]string{"max": "100"}, desire(t, "max=100", "helper=1"),
			[]step{{why: Start, states: []State{InSync, Unsupported}}},
		},
		{
			"a new configuration",
			map[string]string{"max": "100", "acct": "0"}, desire(t, "max=100", "acct=0"),
			[]step{
				{why: Start, states: []State{InSync, InSync}},
				{
					do: func(_ *kernel, keep *Keeper) { keep.SetDesired(desire(t, "max=200"), Config) }, why: Config,
					written: []string{"max=200"}, said: []string{"drift max repaired config"}, states: []State{InSync},
				},
				{do: func(k *kernel, _ *Keeper) { k.set("acct", "1") }, why: Write, states: []State{InSync}}, // let go
			},
		},
		{
			"a value that the kernel does not keep",
			map[string]string{"udp_timeout": "7"}, desire(t, "udp_timeout=100"),
			[]step{
				{
					do:  func(k *kernel, _ *Keeper) { k.onWrite = func(_, _ string) (string, error) { return "50", nil } },
					why: Start, written: []string{"udp_timeout=100"}, said: []string{"drift udp_timeout failed start"}, states: []State{Drifted},
				},
				{why: Write, written: []string{"udp_timeout=100"}, states: []State{Drifted}},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newKernel(tt.kernel)
			keep := New(k.options(), tt.want)
			for i, s := range tt.steps {
				if s.do != nil {
					s.do(k, keep)
				}
				keep.Pass(s.why, time.Now())
				var states []State
				for _, setting := range keep.Report().Settings {
					states = append(states, setting.State)
				}
				if diff := cmp.Diff(s.written, k.takeWrites()); diff != "" {
					t.Errorf("step %d, writes (-want +got):\n%s", i, diff)
				}
				if diff := cmp.Diff(s.said, k.takeEvents()); diff != "" {
					t.Errorf("step %d, events (-want +got):\n%s", i, diff)
				}
				if diff := cmp.Diff(s.states, states); diff != "" {
					t.Errorf("step %d, states (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// A firewall that is restarted a hundred times in a second is no contest.
func TestLoadsAreNoContest(t *testing.T) {
	k := newKernel(map[string]string{"max": "100"})
	keep := New(k.options(), desire(t, "max=100"))
	keep.Pass(Start, time.Now())
	for i := range 100 {
		k.setModule(Module{Present: true, Instance: uint64(i + 2)})
		k.set("max", "65536")
		keep.Pass(ModuleMoved, time.Now())
		if got := k.get("max"); got != "100" {
			t.Fatalf("max is %s after load %d", got, i+1)
		}
	}
	if s := keep.Report(); s.Loads != 100 || s.Settings[0].State != InSync {
		t.Errorf("%d loads, max is %s, want 100 loads, in-sync", s.Loads, s.Settings[0].State)
	}
}

// A file that goes with its module while we read is not taken for one that the
// kernel never had.
func TestModuleGoesUnderTheReading(t *testing.T) {
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
	if k.moves != 2 {
		t.Errorf("the watches were set %d times, want 2: at the first look and when the module went", k.moves)
	}
}

func TestLoweringMaxUnderTheCountIsSaid(t *testing.T) {
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
			t.Errorf("max is %s when the pass is said to be over", k.get("max"))
		}
	}
	keep := New(k.options(), desire(t, "max=500"))
	keep.Pass(Start, time.Now())
	keep.Pass(Write|Overflow, time.Now())
	if diff := cmp.Diff([]Reason{Start, Write | Overflow}, woke); diff != "" {
		t.Errorf("passes (-want +got):\n%s", diff)
	}
}
