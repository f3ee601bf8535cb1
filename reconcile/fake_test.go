package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// errForbidden is what the kernel says where rights are missing.
var errForbidden = syscall.EACCES

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kernel is a peer for the keeper: values by setting name, errors on demand.
type kernel struct {
	mu       sync.Mutex
	module   Module
	values   map[string]string
	readErr  map[string]error
	writeErr map[string]error
	writes   []string // "name=value", in order
	onRead   func(name string)
	onWrite  func(name, value string) (string, error) // what the kernel makes of it
	events   []Event
	moves    int
}

func newKernel(values map[string]string) *kernel {
	return &kernel{
		module: Module{State: "loaded", Present: true, Instance: 1},
		values: values, readErr: map[string]error{}, writeErr: map[string]error{},
	}
}

func (k *kernel) Read(s *sysfs.Setting) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.onRead != nil {
		k.onRead(s.Name)
	}
	if err := k.readErr[s.Name]; err != nil {
		return "", err
	}
	value, ok := k.values[s.Name]
	if !ok || !k.module.Present {
		return "", fmt.Errorf("cannot read setting: %w", syscall.ENOENT)
	}
	return value, nil
}

func (k *kernel) Write(s *sysfs.Setting, value string) error {
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

func (k *kernel) look() Module {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.module
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

// Record keeps events, the quiet ones too.
func (k *kernel) Record(e Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, e)
}

// said returns "kind setting result cause" of the events that are not quiet, and
// forgets all.
func (k *kernel) said() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, e := range k.events {
		if !e.Quiet {
			out = append(out, strings.Join(slices.DeleteFunc(
				[]string{string(e.Kind), e.Setting, string(e.Result), string(e.Cause)},
				func(s string) bool { return s == "" }), " "))
		}
	}
	k.events = nil
	return out
}

// written returns the writes, and forgets them.
func (k *kernel) written() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := k.writes
	k.writes = nil
	return out
}

func (k *kernel) options() Options {
	return Options{
		Kernel: k, Recorder: k, Module: k.look, ModuleName: "nf_conntrack",
		ModuleMoved: func() { k.moves++ },
		WayOut:      func(*sysfs.Setting, error) string { return "the way out" },
	}
}

// desire reads "max=1000", "hashsize>=512", "udp_timeout<=30".
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
		d.Wants = append(d.Wants, sysfs.Want{Setting: s, Policy: policy, Value: value, Origin: "test"})
	}
	return d
}

func observing(d *Desired) *Desired {
	d.Mode = Observe
	return d
}
