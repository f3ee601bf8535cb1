package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// errForbidden is the kernel's answer where a capability is missing.
var errForbidden = syscall.EACCES

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kernel is a fake Kernel and Observer: values by setting name, errors on demand.
type kernel struct {
	mu       sync.Mutex
	module   Module
	values   map[string]string
	readErr  map[string]error
	writeErr map[string]error
	writes   []string // "name=value", in order
	onRead   func(name string)
	onWrite  func(name, value string) (string, error) // returns the value that the kernel stores
	count    int64

	events    []Event
	moves     int // calls of ModuleChanged
	onAdopted func(*Desired)
	onPassed  func(Reason, time.Duration)
}

func newKernel(values map[string]string) *kernel {
	return &kernel{
		module: Module{Present: true, Instance: 1},
		values: values, readErr: map[string]error{}, writeErr: map[string]error{},
	}
}

func (k *kernel) Read(s *sysfs.Setting) (sysfs.Value, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.onRead != nil {
		k.onRead(s.Name)
	}
	if err := k.readErr[s.Name]; err != nil {
		return sysfs.Value{}, err
	}
	value, ok := k.values[s.Name]
	if !ok || !k.module.Present {
		return sysfs.Value{}, fmt.Errorf("cannot read setting: %w", syscall.ENOENT)
	}
	return s.Parse(value), nil
}

func (k *kernel) Write(s *sysfs.Setting, v sysfs.Value) error {
	value := v.String()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writes = append(k.writes, s.Name+"="+value)
	if err := k.writeErr[s.Name]; err != nil {
		return fmt.Errorf("cannot write %s: %w", value, err)
	}
	if k.onWrite != nil {
		var err error
		if value, err = k.onWrite(s.Name, value); err != nil {
			return err
		}
	}
	k.values[s.Name] = value
	return nil
}

func (k *kernel) Module() Module {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.module
}

func (k *kernel) Count() (int64, error) { return k.count, nil }

func (k *kernel) Remedy(*sysfs.Setting, error) string { return "the remedy" }

func (k *kernel) OnDesired(d *Desired) {
	if k.onAdopted != nil {
		k.onAdopted(d)
	}
}

func (k *kernel) OnModuleChange() { k.moves++ }

func (k *kernel) OnPass(reasons Reason, took time.Duration, _ bool) {
	if k.onPassed != nil {
		k.onPassed(reasons, took)
	}
}

// set is a foreign write.
func (k *kernel) set(name, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values[name] = value
}

func (k *kernel) setModule(m Module) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.module = m
}

func (k *kernel) get(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.values[name]
}

// Record keeps every event.
func (k *kernel) Record(e Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, e)
}

// takeEvents returns "kind setting result cause" of the events that are not quiet, and clears
// all events.
func (k *kernel) takeEvents() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, e := range k.events {
		if !e.CountOnly {
			out = append(out, strings.Join(slices.DeleteFunc(
				[]string{string(e.Kind), strings.Join(e.SettingNames(), ","), string(e.Result), string(e.Cause)},
				func(s string) bool { return s == "" }), " "))
		}
	}
	k.events = nil
	return out
}

// takeWrites returns the writes, and clears them.
func (k *kernel) takeWrites() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.writes
	k.writes = nil
	return out
}

func (k *kernel) options() Options { return Options{Kernel: k, Hooks: k} }

// desire parses "max=1000", "hashsize>=512", "udp_timeout<=30".
func desire(t testing.TB, wants ...string) *Desired {
	t.Helper()
	d := &Desired{Mode: Enforce}
	for _, text := range wants {
		policy, sep := sysfs.Exactly, "="
		switch {
		case strings.Contains(text, ">="):
			policy, sep = sysfs.AtLeast, ">="
		case strings.Contains(text, "<="):
			policy, sep = sysfs.AtMost, "<="
		}
		name, value, ok := strings.Cut(text, sep)
		s := sysfs.Lookup(name)
		if !ok || s == nil {
			t.Fatalf("bad want %q", text)
		}
		d.Wants = append(d.Wants, sysfs.Want{Setting: s, Policy: policy, Value: s.Parse(value)})
	}
	return d
}

func observing(d *Desired) *Desired {
	d.Mode = Observe
	return d
}
