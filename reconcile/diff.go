package reconcile

import (
	"cmp"
	"slices"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Reading is the result of reading one setting.
type Reading struct {
	Value sysfs.Value
	Err   error
}

// Observation is what a pass read: the module, and a reading for each want, in the order of the
// wants.
type Observation struct {
	Module   Module
	Readings []Reading
}

// Change is a setting whose live value does not satisfy its want.
type Change struct {
	// Index is the index of the want.
	Index int
	Want  sysfs.Want
	// Found is the live value.
	Found sysfs.Value
}

// diff compares an observation with the wants. It appends the state of each want to states, and returns
// them and the changes in the order in which they must be written. It is pure.
func diff(states []State, wants []sysfs.Want, seen Observation) ([]State, []Change) {
	var changes []Change
	for i, want := range wants {
		state := stateOf(want, seen.Readings[i], seen.Module)
		if states = append(states, state); state == Drifted {
			changes = append(changes, Change{Index: i, Want: want, Found: seen.Readings[i].Value})
		}
	}
	sortChanges(changes)
	return states, changes
}

func stateOf(want sysfs.Want, r Reading, module Module) State {
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

// sortChanges puts a setting after its ceiling when the ceiling rises, and before it when the
// ceiling falls: max is never above what the hash table was sized for, and the kernel refuses a
// low threshold above the high one. Settings that do not depend on the hash size come first,
// because a resize blocks its writer for an RCU grace period (nf_conntrack_hash_resize).
func sortChanges(changes []Change) {
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

// afterResize is 1 for the hash size and what it bounds, and 0 for others.
func afterResize(c Change) int {
	if s := c.Want.Setting; s.Name == sysfs.Hashsize || s.Ceiling == sysfs.Hashsize {
		return 1
	}
	return 0
}
