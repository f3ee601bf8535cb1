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

// attributor names the writers of some values, and who loaded and unloaded the module. It records each question.
type attributor struct {
	kernel           *kernel
	wrote            map[string]*sysfs.Writer // by "max=7"
	loaded, unloaded *sysfs.Writer
	asked            []string         // "max=7 after max=100": the question, after these repairs
	before           func() time.Time // the time of the last pass
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

func (w *attributor) IsWatching() bool { return true }

func (w *attributor) ModuleChanger(loaded bool, after time.Time) *sysfs.Writer {
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

// attributionStep is a change, the pass that follows it, the questions to the attributor, and the events of the pass.
type attributionStep struct {
	do    func(k *kernel, keep *Keeper)
	why   Reason
	asked []string
	named []string
}

type attributionTest struct {
	name  string
	want  *Desired
	steps []attributionStep
}

// quiet is a first pass that changes nothing.
var quiet = attributionStep{why: Start}

func setTo(name, value string) func(*kernel, *Keeper) {
	return func(k *kernel, _ *Keeper) { k.set(name, value) }
}

// reloadedWith loads another instance of the module, and sets max in it.
func reloadedWith(instance uint64, max string) func(*kernel, *Keeper) {
	return func(k *kernel, _ *Keeper) {
		k.setModule(Module{Present: true, Instance: instance})
		k.set("max", max)
	}
}

// refused sets max to 7, and makes its repair fail.
func refused(err error) func(*kernel, *Keeper) {
	return func(k *kernel, _ *Keeper) { k.set("max", "7"); k.writeErr["max"] = err }
}

func writeAttributions(t *testing.T) []attributionTest {
	t.Helper()
	return []attributionTest{
		{"a write, after it is repaired", desire(t, "max=100"), []attributionStep{
			quiet,
			{setTo("max", "7"), Write, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{setTo("max", "7"), Guard, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{setTo("max", "8"), Write, []string{"max=8 after max=100"}, []string{"drift max write"}},
			{setTo("max", "8"), Guard, []string{"max=8 after max=100"}, []string{"drift max write"}},
		}},
		{"the guard reports a write before its value can be read", desire(t, "max=100"), []attributionStep{
			quiet,
			{why: Guard},
			{setTo("max", "7"), Guard, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{why: Guard},
		}},
		{"a write that only a resync finds", desire(t, "max=100"), []attributionStep{
			quiet,
			{setTo("max", "7"), Resync, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{setTo("max", "8"), Resync, []string{"max=8 after max=100"}, []string{"drift max resync"}},
			{setTo("max", "7"), Overflow, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
		}},
		{"all is repaired before the first question", desire(t, "max=100", "acct=1"), []attributionStep{
			quiet,
			{func(k *kernel, _ *Keeper) { k.set("max", "7"); k.set("acct", "0") }, Write,
				[]string{"acct=0 after acct=1 after max=100", "max=7"},
				[]string{"drift acct write by zero", "drift max write by seven"},
			},
		}},
		{"observe mode", observing(desire(t, "max=100")), []attributionStep{
			quiet,
			{setTo("max", "7"), Write, []string{"max=7"}, []string{"drift max write by seven"}},
			{why: Write}, // the same drift
			{setTo("max", "9"), Resync, []string{"max=9"}, []string{"drift max write by nine"}},
		}},
		{"a drift that cannot be repaired has its writer", desire(t, "max=100"), []attributionStep{
			quiet,
			{refused(syscall.EINVAL), Write, []string{"max=7 after max=100"}, []string{"failed max write by seven"}},
			{setTo("max", "9"), Write, []string{"max=9"}, []string{"drift max write by nine"}}, // postponed
		}},
		{"without the capability", desire(t, "max=100"), []attributionStep{
			quiet,
			{refused(syscall.EACCES), Write, []string{"max=7 after max=100"}, []string{"forbidden max"}},
		}},
		{"another writer is faster than the repair", desire(t, "max=100"), []attributionStep{
			quiet,
			{func(k *kernel, _ *Keeper) {
				k.set("max", "7")
				k.onWrite = func(_, value string) (string, error) { k.onWrite = nil; return "9", nil }
			}, Write, []string{"max=7 after max=100"}, []string{"drift max write by seven"}},
			{why: Write, asked: []string{"max=9 after max=100"}, named: []string{"drift max write by nine"}},
		}},
	}
}

func moveAttributions(t *testing.T) []attributionTest {
	t.Helper()
	return []attributionTest{
		{"start and configuration", desire(t, "max=50"), []attributionStep{
			{why: Start, named: []string{"drift max start"}},
			{
				func(_ *kernel, keep *Keeper) { keep.SetDesired(desire(t, "max=60"), Config) },
				Config,
				nil,
				[]string{"drift max config"},
			},
			{
				func(_ *kernel, keep *Keeper) { keep.SetDesired(desire(t, "max=70"), Config) },
				Config | Write | Guard,
				nil,
				[]string{"drift max config"},
			},
		}},
		{"the module is reloaded", desire(t, "max=100"), []attributionStep{
			quiet,
			{reloadedWith(2, "7"), ModuleChange, []string{"loaded after max=100", "unloaded"},
				[]string{"module-unload by rmmod", "module-load by restore", "drift max module-load by restore"}},
			{
				reloadedWith(3, "100"),
				Resync,
				[]string{"unloaded", "loaded"},
				[]string{"module-unload by rmmod", "module-load by restore"},
			},
		}},
		{"the module is unloaded", desire(t, "max=100"), []attributionStep{
			quiet,
			{
				func(k *kernel, _ *Keeper) { k.setModule(Module{}) },
				ModuleChange,
				[]string{"unloaded"},
				[]string{"module-unload by rmmod"},
			},
		}},
	}
}

func TestAttribution(t *testing.T) {
	for _, tt := range slices.Concat(writeAttributions(t), moveAttributions(t)) {
		t.Run(tt.name, func(t *testing.T) {
			k := newKernel(map[string]string{"max": "100", "acct": "1"})
			saw := &attributor{
				kernel:   k,
				loaded:   &sysfs.Writer{Comm: "restore"},
				unloaded: &sysfs.Writer{Comm: "rmmod"},
				wrote: map[string]*sysfs.Writer{
					"max=7": {Comm: "seven"}, "max=9": {Comm: "nine"}, "acct=0": {Comm: "zero"},
				},
			}
			opts := k.options()
			opts.Attributor = saw
			keep := New(opts, tt.want)
			for i, s := range tt.steps {
				if s.do != nil {
					s.do(k, keep)
				}
				k.takeWrites()
				before := keep.lastPass
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

// The report names the writer of the last drift, and the cause becomes "write".
func TestLastDriftNamesItsWriter(t *testing.T) {
	for name, err := range map[string]error{"repaired": nil, "forbidden": errForbidden, "refused": syscall.EINVAL} {
		t.Run(name, func(t *testing.T) {
			k := newKernel(map[string]string{"max": "100"})
			opts := k.options()
			opts.Attributor = &attributor{
				kernel: k,
				wrote:  map[string]*sysfs.Writer{"max=7": {PID: 7}},
				before: time.Now,
			}
			keep := New(opts, desire(t, "max=100"))
			keep.Pass(Start, time.Now())
			k.set("max", "7")
			k.writeErr["max"] = err
			keep.Pass(Resync, time.Now())
			got := *keep.Report().Settings[0].LastDrift
			got.At, got.RepairedIn = time.Time{}, 0
			want := Drift{Found: sysfs.Number(7), Cause: CauseWrite, By: &sysfs.Writer{PID: 7}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("last drift (-want +got):\n%s", diff)
			}
		})
	}
}

var contestWriterTests = []struct {
	name    string
	writers func(i int) *sysfs.Writer
	want    string
	by      *sysfs.Writer
}{
	{
		"no writer is known",
		func(int) *sysfs.Writer { return nil },
		"an unknown writer keeps changing it, or the kernel stores another value, last",
		nil,
	},
	{
		"one program",
		func(i int) *sysfs.Writer { return &sysfs.Writer{PID: i, Comm: "sysctl", Unit: "cron.service"} },
		"max is contested: sysctl (pid 10, cron.service) keeps changing it, last to 1010;",
		&sysfs.Writer{PID: 10, Comm: "sysctl", Unit: "cron.service"},
	},
	{
		"the last two of three", func(i int) *sysfs.Writer {
			return &sysfs.Writer{Comm: "sysctl", Unit: []string{"a", "b", "c"}[(i+3)%3]}
		},
		"max is contested: sysctl (b) and sysctl (a) keep changing it, last to 1010;",
		&sysfs.Writer{Comm: "sysctl", Unit: "b"},
	},
	{
		"the last writer is unknown", func(i int) *sysfs.Writer {
			if i == burst {
				return nil
			}
			return &sysfs.Writer{PID: i}
		},
		"max is contested: somebody (pid 9) keeps changing it, last to 1010;", &sysfs.Writer{PID: 9},
	},
	{
		"a writer of a day ago is not named", func(i int) *sysfs.Writer {
			if i < 0 {
				return &sysfs.Writer{Comm: "yesterday"}
			}
			return &sysfs.Writer{Comm: "today"}
		},
		"max is contested: today keeps changing it, last to 1010;", &sysfs.Writer{Comm: "today"},
	},
}

// A contest names the last two programs that wrote, each once, however many processes they ran as.
func TestContestNamesItsWriters(t *testing.T) {
	for _, tt := range contestWriterTests {
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

// A repair that a contest postponed still names the writer of its drift.
func TestWriterOutlastsTheDelay(t *testing.T) {
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
		saw.wrote = nil // the attributor has forgotten the writes
		time.Sleep(maxDelay)
		synctest.Wait()
		events := k.takeAttributed()
		want := []string{"drift max write by somebody (pid 30)", "settled max write"}
		if got := events[len(events)-2:]; !slices.Equal(got, want) {
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
			t.Error("the kernel was read before the desired state was adopted")
		}
	}
	keep := New(k.options(), desire(t, "max=2"))
	if adopted != nil {
		t.Error("adopted before the first pass")
	}
	keep.Pass(Start, time.Now())
	keep.Pass(Resync, time.Now())
	k.onWrite = func(_, value string) (string, error) {
		if adopted[len(adopted)-1] != value {
			t.Errorf("%s is written while %q are adopted", value, adopted)
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

func TestAttributeUnreadable(t *testing.T) {
	k := newKernel(map[string]string{"max": "100"})
	opts := k.options()
	opts.Attributor = &attributor{kernel: k, before: time.Now}
	keep := New(opts, desire(t, "max=100"))
	k.readErr["max"] = errForbidden
	keep.Pass(Start, time.Now())
	if got, want := k.takeAttributed(), []string{"forbidden max"}; !slices.Equal(got, want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}
