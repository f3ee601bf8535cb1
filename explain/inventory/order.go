package inventory

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// String says when, for people: "when the module is loaded".
func (p Phase) String() string {
	switch p {
	case AtModuleLoad:
		return "when the module is loaded"
	case AtBoot:
		return "at boot"
	case AfterModuleLoad:
		return "after the module is loaded"
	case AtFirewallStart:
		return "when the firewall starts"
	case AtTunedProfile:
		return "when TuneD applies its profile"
	default:
		return "when a service starts"
	}
}

// settle sorts what was found by phase, and says of each assignment that has no
// effect why: a later one takes its place, or it only raises and there is more
// already. It is pure but for all, which it changes.
func settle(all []Assignment) {
	slices.SortStableFunc(all, func(a, b Assignment) int { return cmp.Compare(a.Phase, b.Phase) })
	type inForce struct {
		line   tree.Place
		copies []int // one line may be applied several times
	}
	now := map[string]inForce{}
	for i := range all {
		a := &all[i]
		if a.NoEffect != "" {
			continue
		}
		before, there := now[a.Name]
		if !there {
			now[a.Name] = inForce{a.Place, []int{i}}
			continue
		}
		last := all[before.copies[len(before.copies)-1]]
		switch {
		case a.same(last):
			now[a.Name] = inForce{a.Place, append(before.copies, i)}
			continue
		case !a.moves(last.Value):
			a.NoEffect = a.bound() + last.Place.String() + " gives " + last.Value
			continue
		}
		for _, lost := range before.copies {
			all[lost].NoEffect = a.Place.String() + " comes later"
			if a.Phase != all[lost].Phase {
				all[lost].NoEffect += ": " + a.Tool + ", " + a.Phase.String()
			}
		}
		now[a.Name] = inForce{a.Place, []int{i}}
	}
	for i := range all { // a line that came again and won has an effect
		if winner, there := now[all[i].Name]; there && all[i].same(all[winner.copies[0]]) {
			all[i].NoEffect = ""
		}
	}
}

// same reports whether a and b are one line of a file, applied twice.
func (a Assignment) same(b Assignment) bool {
	return a.Place == b.Place && a.Key == b.Key && a.Value == b.Value && a.Parameter == b.Parameter && a.Line > 0
}

// moves reports whether an assignment changes a value; one that nobody can
// compare does.
func (a Assignment) moves(value string) bool {
	have, err1 := strconv.ParseInt(value, 0, 64)
	want, err2 := strconv.ParseInt(a.Value, 0, 64)
	switch {
	case err1 != nil || err2 != nil:
		return true
	case a.AtLeast:
		return want > have
	case a.AtMost:
		return want < have
	}
	return true
}

func (a Assignment) bound() string {
	if a.AtMost {
		return "it only lowers, and "
	}
	return "it only raises, and "
}

// early marks what is written at boot before the module is there, and not again
// when it has come.
func early(all []Assignment) {
	for i, a := range all {
		again := slices.ContainsFunc(all, func(b Assignment) bool { return b.Phase > AtBoot && b.same(a) })
		all[i].TooEarly = a.Phase == AtBoot && a.NoEffect == "" && !again
	}
}

// Winner gives the assignment that a setting is left with at the end of a boot where the
// module is there in time, and whether there is one. Parameters of the same name count
// where nothing else gives a value. Of a line that is applied several times it is the
// first.
func (i Inventory) Effective(name string) (Assignment, bool) {
	for _, last := range slices.Backward(i.Assignments) {
		if last.Name != name || last.NoEffect != "" {
			continue
		}
		for _, a := range i.Assignments {
			if a.Name == name && a.same(last) {
				return a, true
			}
		}
		return last, true
	}
	return Assignment{}, false
}

// Switch finds a switch.
func (i Inventory) ToolOption(tool, name string) (ToolOption, bool) {
	for _, s := range i.ToolOptions {
		if s.Tool == tool && s.Name == name {
			return s, true
		}
	}
	return ToolOption{}, false
}
