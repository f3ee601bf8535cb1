package guard

import (
	"context"
	"errors"
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Options are what a Guard does.
type Options struct {
	// Lock refuses foreign writes of another value to the settings that are Lockable.
	// Without it every write is let through.
	Lock bool
	// Allow names units (kube-proxy.service) and slices whose writes are let through.
	Allow []string
	// Buffer is the size of the ring buffer in bytes, a power of two and a multiple of the
	// page size; 0 is 64 KiB, some 500 writes.
	Buffer int
	// Cgroup is the directory to attach to; "" is the root of the cgroup v2 tree. For tests:
	// what happens elsewhere in the tree is not seen.
	Cgroup string
}

// Abilities are what the guard can tell on this kernel, with the rights it has.
type Abilities struct {
	// PID, Comm and Unit say what is told of who writes a sysctl.
	PID, Comm, Unit bool
	// Modules says that loads and unloads of the module have a name, Sysfs that writes to
	// its parameter hashsize have one.
	Modules, Sysfs bool
	// Missing is what is not there, each with its reason and the way out.
	Missing []Missing
}

// Missing is something that the guard cannot do here.
type Missing struct {
	// What is not there: "the command of a writer".
	What string `json:"what"`
	// Why it is not: "CAP_PERFMON is missing", "this kernel has no …".
	Why string `json:"why"`
	// Hint is how to have it; empty where nothing helps but another kernel.
	Hint string `json:"hint,omitempty"`
}

// Unavailable is the error of Open where the guard can do nothing here. The daemon then
// works as without it.
type Unavailable struct{ Missing }

// Error says what is missing, why, and how to have it.
func (e *Unavailable) Error() string { return "" }

// Refusal is a foreign write that the lock refused.
type Refusal struct {
	At      time.Time
	Setting *sysfs.Setting
	// Value is what would have been written, as far as it was told: 63 bytes at most.
	Value string
	By    sysfs.Writer
}

// Guard is the attached programs and what they told lately. All its methods may be called
// from several goroutines.
type Guard struct{}

// Open attaches the programs. The error is an *Unavailable where rights or the kernel are in
// the way. Until SetWants nothing is watched.
func Open(opts Options) (*Guard, error) { return nil, errors.ErrUnsupported }

// Close detaches everything.
func (g *Guard) Close() error { return nil }

// Abilities tells what the guard can do here.
func (g *Guard) Abilities() Abilities { return Abilities{} }

// SetWants says which settings are kept and which values of them are let through.
func (g *Guard) SetWants(wants []sysfs.Want) error { return nil }

// Run calls look for every foreign write to a kept setting, and again a few times shortly
// after, because a program that runs before the write is heard before its value is in force;
// overflow is true where the ring buffer overran and writes were lost. refused is called for
// every write that the lock refused. Run ends with ctx, or when the buffer cannot be read.
func (g *Guard) Run(ctx context.Context, look func(overflow bool), refused func(Refusal)) error {
	return errors.ErrUnsupported
}

// Wrote names who last gave a setting the value that was found, at after or later; nil where
// nobody was seen. It implements reconcile.Witness.
func (g *Guard) Wrote(s *sysfs.Setting, found string, after time.Time) *sysfs.Writer { return nil }

// Moved names who last loaded or unloaded nf_conntrack, at after or later; nil where nobody was
// seen. A load on demand names who demanded it, not the modprobe that the kernel started. It
// implements reconcile.Witness.
func (g *Guard) Moved(loaded bool, after time.Time) *sysfs.Writer { return nil }

// Lockable reports whether the lock covers a setting: those that one value serves the whole
// host for. The program cannot tell in which network namespace a write happens, so that the
// others are watched alone.
func Lockable(s *sysfs.Setting) bool { return s.Global }
