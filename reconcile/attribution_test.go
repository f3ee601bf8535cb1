package reconcile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// witness is a peer that saw the writers of some values, and who moved the module.
type attributor struct {
	kernel           *kernel
	wrote            map[string]*sysfs.Writer // by "max=7"
	loaded, unloaded *sysfs.Writer
	asked            []string // "max=7 -1s written: max=100": what, how long before the pass before, what was written by then
	before           func() time.Time
}

func (w *attributor) ask(what string, after time.Time) {
	if slack := after.Sub(w.before()); slack != -writeSlack && !strings.HasSuffix(what, "loaded") {
		what += fmt.Sprintf(" since %s", slack)
	}
	for _, written := range w.kernel.takeWrites() {
		what += " after " + written
	}
	w.asked = append(w.asked, what)
}

func (w *attributor) WriterOf(s *sysfs.Setting, found sysfs.Value, after time.Time) *sysfs.Writer {
	what := s.Name + "=" + found.String()
	w.ask(what, after)
	return w.wrote[what]
}

func (w *attributor) ModuleChangedBy(loaded bool, after time.Time) *sysfs.Writer {
	if slack := after.Sub(w.before()); slack != -moduleSlack {
		w.asked = append(w.asked, fmt.Sprintf("since %s", slack))
	}
	if loaded {
		w.ask("loaded", after)
		return w.loaded
	}
	w.ask("unloaded", after)
	return w.unloaded
}

// takeAttributed returns "kind setting cause by" of all events, the quiet ones too, and clears them.
func (k *kernel) takeAttributed() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, e := range k.events {
		by := ""
		if e.By != nil {
			by = "by " + e.By.String()
		}
		out = append(out, strings.Join(strings.Fields(fmt.Sprint(e.Kind, " ", e.Setting, " ", e.Cause, " ", by)), " "))
	}
	k.events = nil
	return out
}

func TestWitness(t *testing.T) {
	type step struct {
		do    func(k *kernel, keep *Keeper)
		why   Reason
		asked []string
		named []string
	}
	set := func(name, value string) func(*kernel, *Keeper) {
		return func(k *kernel, _ *Keeper) { k.set(name, value) }
	}
	module := func(instance uint64, max string) func(*kernel, *Keeper) {
		return func(k *kernel, _ *Keeper) {
			k.setModule(Module{Present: true, Instance: instance})
			k.set("max", max)
		}
	}
	refuse := func(err error) func(*kernel, *Keeper) {
		return func(k *kernel, _ *Keeper) { k.set("max", "7"); k.writeErr["max"] = err }
	}
	quiet := step{why: Start}
	tests := []struct {
		name  string
		want  *Desired
		steps []step
	}{
		{"a write, after it is repaired", desire(t, "max=100"), []step{
			quiet,
			{set("max", "7"), Write, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{set("max", "7"), Guard, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{set("max", "8"), Write, []string{"max=8 after max=100"}, []string{"drift max write"}},
			{set("max", "8"), Guard, []string{"max=8 after max=100"}, []string{"drift max write"}},
		}},
		{"the guard hears before the value is there", desire(t, "max=100"), []step{
			quiet,
			{why: Guard},
			{set("max", "7"), Guard, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{why: Guard},
		}},
		{"a write that only the regular look found", desire(t, "max=100"), []step{
			quiet,
			{set("max", "7"), Resync, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{set("max", "8"), Resync, []string{"max=8 after max=100"}, []string{"drift max resync"}},
			{set("max", "7"), Overflow, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
		}},
		{"all is written before anybody is asked", desire(t, "max=100", "acct=1"), []step{
			quiet,
			{func(k *kernel, _ *Keeper) { k.set("max", "7"); k.set("acct", "0") }, Write,
				[]string{"acct=0 after acct=1 after max=100", "max=7"}, []string{"drift acct write by zero", "drift max write by seven"}},
		}},
		{"observe mode", observing(desire(t, "max=100")), []step{
			quiet,
			{set("max", "7"), Write, []string{"max=7"}, []string{"drift max write by seven"}},
			{why: Write}, // the same drift
			{set("max", "9"), Resync, []string{"max=9"}, []string{"drift max write by nine"}},
		}},
		{"start and configuration", desire(t, "max=50"), []step{
			{why: Start, named: []string{"drift max start"}},
			{func(_ *kernel, keep *Keeper) { keep.SetDesired(desire(t, "max=60"), Config) }, Config, nil, []string{"drift max config"}},
			{func(_ *kernel, keep *Keeper) { keep.SetDesired(desire(t, "max=70"), Config) }, Config | Write | Guard, nil, []string{"drift max config"}},
		}},
		{"the module is loaded anew", desire(t, "max=100"), []step{
			quiet,
			{module(2, "7"), ModuleMoved, []string{"loaded after max=100", "unloaded"},
				[]string{"module-unload by rmmod", "module-load by restore", "drift max module-load by restore"}},
			{module(3, "100"), Resync, []string{"unloaded", "loaded"}, []string{"module-unload by rmmod", "module-load by restore"}},
		}},
		{"the module goes", desire(t, "max=100"), []step{
			quiet,
			{func(k *kernel, _ *Keeper) { k.setModule(Module{}) }, ModuleMoved, []string{"unloaded"}, []string{"module-unload by rmmod"}},
		}},
		{"what cannot be repaired has its name", desire(t, "max=100"), []step{
			quiet,
			{refuse(syscall.EINVAL), Write, []string{"max=7 after max=100"}, []string{"failed max write by seven"}},
			{set("max", "9"), Write, []string{"max=9"}, []string{"drift max write by nine"}}, // put off
		}},
		{"without rights", desire(t, "max=100"), []step{
			quiet,
			{refuse(syscall.EACCES), Write, []string{"max=7 after max=100"}, []string{"forbidden max"}},
		}},
		{"somebody is faster than the repair", desire(t, "max=100"), []step{
			quiet,
			{func(k *kernel, _ *Keeper) {
				k.set("max", "7")
				k.onWrite = func(_, value string) (string, error) { k.onWrite = nil; return "9", nil }
			}, Write, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{why: Write, asked: []string{"max=9 after max=100"}, named: []string{"drift max write by nine"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k := newKernel(map[string]string{"max": "100", "acct": "1"})
			saw := &attributor{kernel: k, loaded: &sysfs.Writer{Comm: "restore"}, unloaded: &sysfs.Writer{Comm: "rmmod"}, wrote: map[string]*sysfs.Writer{
				"max=7": {Comm: "seven"}, "max=9": {Comm: "nine"}, "acct=0": {Comm: "zero"},
			}}
			opts := k.options()
			opts.Attributor = saw
			keep := New(opts, tt.want)
			for i, s := range tt.steps {
				if s.do != nil {
					s.do(k, keep)
				}
				k.takeWrites()
				before := keep.Report().At
				saw.before = func() time.Time { return before }
				keep.Pass(s.why, time.Now())
				if diff := cmp.Diff(s.asked, saw.asked); diff != "" {
					t.Errorf("step %d, asked (-want +got):\n%s", i, diff)
				}
				if diff := cmp.Diff(s.named, k.takeAttributed()); diff != "" {
					t.Errorf("step %d, events (-want +got):\n%s", i, diff)
				}
				saw.asked = nil
			}
		})
	}
}

// The status has the name as well, and the cause that goes with it.
func TestLastDriftIsNamed(t *testing.T) {
	for name, err := range map[string]error{"repaired": nil, "forbidden": errForbidden, "refused": syscall.EINVAL} {
		t.Run(name, func(t *testing.T) {
			k := newKernel(map[string]string{"max": "100"})
			opts := k.options()
			opts.Attributor = &attributor{kernel: k, wrote: map[string]*sysfs.Writer{"max=7": {PID: 7}}, before: time.Now}
			keep := New(opts, desire(t, "max=100"))
			keep.Pass(Start, time.Now())
			k.set("max", "7")
			k.writeErr["max"] = err
			keep.Pass(Resync, time.Now())
			got := *keep.Report().Settings[0].LastDrift
			got.At, got.RepairedIn = time.Time{}, 0
			if diff := cmp.Diff(Drift{Found: sysfs.Number(7), Cause: CauseWrite, By: &sysfs.Writer{PID: 7}}, got); diff != "" {
				t.Errorf("last drift (-want +got):\n%s", diff)
			}
		})
	}
}

// A contest has the names of those who fight it: the last two programs, each once, however
// many processes they were.
func TestContestNamesItsOpponents(t *testing.T) {
	tests := []struct {
		name    string
		writers func(i int) *sysfs.Writer
		want    string
		by      *sysfs.Writer
	}{
		{"nobody was seen", func(int) *sysfs.Writer { return nil }, "another writer keeps changing it (or the kernel does not keep it), last", nil},
		{
			"one program", func(i int) *sysfs.Writer { return &sysfs.Writer{PID: i, Comm: "sysctl", Unit: "cron.service"} },
			"max is contested: sysctl (pid 10, cron.service) keeps changing it, last to 1010;", &sysfs.Writer{PID: 10, Comm: "sysctl", Unit: "cron.service"},
		},
		{
			"the last two of three", func(i int) *sysfs.Writer {
				return &sysfs.Writer{Comm: "sysctl", Unit: []string{"a", "b", "c"}[(i+3)%3]}
			},
			"max is contested: sysctl (b) and sysctl (a) keep changing it, last to 1010;", &sysfs.Writer{Comm: "sysctl", Unit: "b"},
		},
		{
			"the last write had no witness", func(i int) *sysfs.Writer {
				if i == burst {
					return nil
				}
				return &sysfs.Writer{PID: i}
			},
			"max is contested: somebody (pid 9) keeps changing it, last to 1010;", &sysfs.Writer{PID: 9},
		},
		{
			"who wrote long ago is not meant", func(i int) *sysfs.Writer {
				if i < 0 {
					return &sysfs.Writer{Comm: "yesterday"}
				}
				return &sysfs.Writer{Comm: "today"}
			},
			"max is contested: today keeps changing it, last to 1010;", &sysfs.Writer{Comm: "today"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := newKernel(map[string]string{"max": "100"})
				saw := &attributor{kernel: k, wrote: map[string]*sysfs.Writer{}, before: time.Now}
				opts := k.options()
				opts.Attributor = saw
				keep := New(opts, desire(t, "max=100"))
				keep.Pass(Start, time.Now())
				for i := -1; i <= burst; i++ {
					value := strconv.Itoa(1000 + i)
					saw.wrote["max="+value] = tt.writers(i)
					k.set("max", value)
					keep.Pass(Guard, time.Now())
					if i < 0 {
						time.Sleep(24 * time.Hour)
					}
					time.Sleep(10 * time.Millisecond)
				}
				i := slices.IndexFunc(k.events, func(e Event) bool { return e.Kind == KindContested })
				if i < 0 {
					t.Fatalf("no contest in %q", k.takeAttributed())
				}
				if e := k.events[i]; !strings.Contains(e.Message, tt.want) {
					t.Errorf("message %q, want %q in it", e.Message, tt.want)
				} else if diff := cmp.Diff(tt.by, e.By); diff != "" {
					t.Errorf("by (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A drift that was put off in a contest has its name when it is repaired.
func TestNameOutlastsTheDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKernel(map[string]string{"max": "100"})
		saw := &attributor{kernel: k, wrote: map[string]*sysfs.Writer{}, before: time.Now}
		for i := range 3 * burst {
			saw.wrote["max="+strconv.Itoa(1000+i)] = &sysfs.Writer{PID: i + 1}
		}
		opts := k.options()
		opts.Attributor = saw
		keep := New(opts, desire(t, "max=100"))
		defer run(t, keep)()
		contest(k, keep)
		saw.wrote = nil // what it saw is long forgotten
		time.Sleep(maxDelay)
		synctest.Wait()
		events := k.takeAttributed()
		if got, want := events[len(events)-2:], []string{"drift max write by somebody (pid 30)", "settled max write"}; !slices.Equal(got, want) {
			t.Errorf("the end is %q, want %q", got, want)
		}
	})
}

func TestAdopted(t *testing.T) {
	k := newKernel(map[string]string{"max": "1"})
	var adopted []string
	k.onAdopted = func(d *Desired) { adopted = append(adopted, d.Wants[0].Value.String()) }
	k.onRead = func(string) {
		if len(adopted) == 0 {
			t.Error("the kernel was read before the desired state was told")
		}
	}
	keep := New(k.options(), desire(t, "max=2"))
	if adopted != nil {
		t.Error("told before a pass took it over")
	}
	keep.Pass(Start, time.Now())
	keep.Pass(Resync, time.Now())
	k.onWrite = func(_, value string) (string, error) {
		if adopted[len(adopted)-1] != value {
			t.Errorf("%s is written while %q are told", value, adopted)
		}
		return value, nil
	}
	keep.SetDesired(desire(t, "max=3"), Config)
	keep.SetDesired(desire(t, "max=4"), Config)
	keep.Pass(Config, time.Now())
	if diff := cmp.Diff([]string{"2", "4"}, adopted); diff != "" {
		t.Errorf("adopted (-want +got):\n%s", diff)
	}
}
