package reconcile

import (
	"time"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Mode selects whether passes write.
type Mode string

// The modes, by their names in configurations.
const (
	// Enforce repairs drift.
	Enforce Mode = "enforce"
	// Observe reports drift and writes nothing.
	Observe Mode = "observe"
)

// Desired is the desired state: what a configuration wants of the kernel. It is replaced as a
// whole, and must not be changed once a Keeper has it.
type Desired struct {
	// Wants are the wanted settings, no setting twice. Passes read and report them in this order.
	Wants []sysfs.Want
	Mode  Mode
	// Resync is the longest time between two passes; GuardedResync is that while the guard reports every
	// write. 0 means no limit.
	Resync, GuardedResync time.Duration
}

// Module is the state of nf_conntrack, as far as a pass needs it; see kmod.Module.
type Module struct {
	Present bool
	// Instance differs between two loads of the module.
	Instance uint64
	// InTransition is true while a load or an unload is under way.
	InTransition bool
}
