package reconcile

import (
	"cmp"
	"slices"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Reading is what one look at one setting gave.
type Reading struct {
	Value string
	Err   error
}

// Observation is what one look at the kernel found: the module, and a reading
// for each want, in the order of the wants.
type Observation struct {
	Module   Module
	Readings []Reading
}

// Change is a setting whose live value is not as wanted.
type Change struct {
	// Index is the want's place among the wants.
	Index int
	Want  sysfs.Want
	// Found is the kernel's text.
	Found string
}

// Diff holds an observation against the wants: the state of each, and the
// changes that would make them so, in the order in which they must be written.
// It is pure.
func Diff(wants []sysfs.Want, seen Observation) ([]State, []Change) {
	states := make([]State, len(wants))
	var changes []Change
	for i, want := range wants {
		states[i] = judge(want, seen.Readings[i], seen.Module)
		if states[i] == Drifted {
			changes = append(changes, Change{Index: i, Want: want, Found: seen.Readings[i].Value})
		}
	}
	order(changes)
	return states, changes
}

func judge(want sysfs.Want, r Reading, module Module) State {
	switch {
	case r.Err == nil && want.Satisfied(r.Value):
		return InSync
	case r.Err == nil:
		return Drifted
	case sysfs.Gone(r.Err) && module.Present:
		return Unsupported
	case sysfs.Gone(r.Err):
		return Pending
	case sysfs.Forbidden(r.Err):
		return Forbidden
	default:
		return Failed
	}
}

// order puts a setting behind the one that bounds it when the bound rises, and
// before it when the bound falls: at no moment is max above what the hash table
// was sized for, and the kernel refuses a low threshold above the high one. What
// has nothing to do with the hash size goes first, because a resize keeps its
// writer for an RCU grace period (nf_conntrack_hash_resize).
func order(changes []Change) {
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Compare(afterResize(a), afterResize(b))
	})
	for i := range changes {
		for j := range changes {
			bounded, ceiling := changes[i].Want, changes[j].Want
			if bounded.Setting.Ceiling != ceiling.Setting.Name {
				continue
			}
			ceilingFirst := ceiling.Raises(changes[j].Found)
			if ceilingFirst != (j < i) {
				changes[i], changes[j] = changes[j], changes[i]
			}
			break
		}
	}
}

// afterResize is 1 for the hash size and what it bounds, else 0.
func afterResize(c Change) int {
	if s := c.Want.Setting; s.Name == sysfs.Hashsize || s.Ceiling == sysfs.Hashsize {
		return 1
	}
	return 0
}
