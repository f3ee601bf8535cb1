package inventory

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// markOverridden sorts the assignments by phase, and sets NoEffect of those that a later one
// overrides, and of those that only raise a value which is higher already.
func markOverridden(all []Assignment) {
	slices.SortStableFunc(all, func(a, b Assignment) int { return cmp.Compare(a.Phase, b.Phase) })
	effective := map[string][]int{} // by name: the line that has set it last, as often as it is applied
	for i := range all {
		a := &all[i]
		if a.NoEffect != "" {
			continue
		}
		before := effective[a.Name]
		if len(before) == 0 {
			effective[a.Name] = []int{i}
			continue
		}
		last := all[before[len(before)-1]]
		switch {
		case a.isSameLine(last):
			effective[a.Name] = append(before, i)
			continue
		case !a.changes(last.Value):
			only := "it only raises, and "
			if a.AtMost {
				only = "it only lowers, and "
			}
			a.NoEffect, a.OverriddenBy = only+last.Place.String()+" sets "+last.Value, last.Place
			continue
		}
		for _, b := range before {
			all[b].NoEffect, all[b].OverriddenBy = a.Place.String()+" comes later", a.Place
			if a.Phase != all[b].Phase {
				all[b].NoEffect += ": " + a.Tool + ", " + a.Phase.String()
			}
		}
		effective[a.Name] = []int{i}
	}
	for i := range all { // a line that is applied again, and is then the last, has an effect
		if last := effective[all[i].Name]; len(last) > 0 && all[i].isSameLine(all[last[0]]) {
			all[i].NoEffect, all[i].OverriddenBy = "", tree.Place{}
		}
	}
}

// isSameLine reports whether a and b are one line of a file, applied twice.
func (a Assignment) isSameLine(b Assignment) bool {
	return a.Place == b.Place && a.Key == b.Key && a.Value == b.Value && a.Parameter == b.Parameter && a.Line > 0
}

// changes reports whether an assignment changes a value. Values that cannot be compared count as
// changed.
func (a Assignment) changes(value string) bool {
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

// markTooEarly sets TooEarly of what is written at boot before the module is loaded, and not again
// after it.
func markTooEarly(all []Assignment) {
	for i, a := range all {
		again := slices.ContainsFunc(all, func(b Assignment) bool { return b.Phase > AtBoot && b.isSameLine(a) })
		all[i].TooEarly = a.Phase == AtBoot && a.NoEffect == "" && !again
	}
}

// Effective returns the assignment that decides a setting's value at the end of a boot in which the
// module is loaded in time, and whether there is one. A parameter of the same name counts if
// nothing else sets the value. Of a line that is applied several times it returns the first.
func (i Inventory) Effective(name string) (Assignment, bool) {
	for _, last := range slices.Backward(i.Assignments) {
		if last.Name != name || last.NoEffect != "" {
			continue
		}
		for _, a := range i.Assignments {
			if a.Name == name && a.isSameLine(last) {
				return a, true
			}
		}
		return last, true
	}
	return Assignment{}, false
}
