package inventory

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// markOverridden sorts the assignments by phase, and sets NoEffect of those that a later one
// overrides, and of those that only raise a value which is higher already. An uncertain assignment
// overrides nothing. Services that start beside each other override each other in no known order:
// the values of both are then uncertain.
func markOverridden(all []Assignment) {
	slices.SortStableFunc(all, func(a, b Assignment) int { return cmp.Compare(a.Phase, b.Phase) })
	effective := map[string][]int{} // by name: what no later assignment has overridden yet
	for i := range all {
		if a := &all[i]; a.NoEffect == "" {
			effective[a.Name] = override(all, effective[a.Name], i)
		}
	}
	for i := range all { // a line that is applied again, and is then the last, has an effect
		a := &all[i]
		if slices.ContainsFunc(effective[a.Name], func(e int) bool { return all[e].isSameLine(*a) }) {
			a.NoEffect, a.OverriddenBy = "", tree.Place{}
		}
	}
}

// override adds assignment i to those that have an effect before it, and returns those that have one
// after it.
func override(all []Assignment, before []int, i int) []int {
	a := &all[i]
	isSame := func(e int) bool { return all[e].isSameLine(*a) }
	if a.Uncertain != "" || len(before) == 0 || slices.ContainsFunc(before, isSame) {
		return append(before, i)
	}
	if last := all[before[len(before)-1]]; last.Uncertain == "" && !a.changes(last.Value) {
		only := "it only raises, and "
		if a.AtMost {
			only = "it only lowers, and "
		}
		a.NoEffect, a.OverriddenBy = only+last.Place.String()+" sets "+last.Value, last.Place
		return before
	}
	var after []int
	for _, e := range before {
		b := &all[e]
		switch {
		case a.isUnordered(*b) && a.Value != b.Value:
			b.Uncertain = cmp.Or(b.Uncertain, "it may come before or after "+a.Place.String())
			a.Uncertain = cmp.Or(a.Uncertain, "it may come before or after "+b.Place.String())
			after = append(after, e)
		default:
			b.NoEffect, b.OverriddenBy = a.Place.String()+" comes later", a.Place
			if a.Phase != b.Phase {
				b.NoEffect += ": " + a.Tool + ", " + a.Phase.String()
			}
		}
	}
	return append(after, i)
}

// isUnordered reports whether nothing orders two assignments: those of services that start at the
// same time, by different files.
func (a Assignment) isUnordered(b Assignment) bool {
	return a.Phase == b.Phase && a.Phase >= AtServiceStart && a.File != b.File
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
func markTooEarly(all []Assignment, needsIt func(Assignment) bool) {
	for i, a := range all {
		again := slices.ContainsFunc(all, func(b Assignment) bool { return b.Phase > AtBoot && b.isSameLine(a) })
		all[i].TooEarly = a.Phase == AtBoot && a.NoEffect == "" && !again && needsIt(a)
	}
}

// Outcome is what decides a setting's value at the end of a boot.
type Outcome struct {
	// Assignment is the one that decides, if Found.
	Assignment
	Found bool
	// Seen is true if the live value is its proof.
	Seen bool
	// Doubts are what could make it another value. An outcome with doubts is not decided.
	Doubts []Doubt
}

// Doubt is an uncertain assignment, or a line that no reader understood.
type Doubt struct {
	tree.Place
	// Value is what it would set, "" if that is not known. Why is the reason of the doubt.
	Value, Why string
}

// IsDecided reports whether it is known which assignment decides.
func (o Outcome) IsDecided() bool { return o.Found && len(o.Doubts) == 0 }

// HasLive reports whether a live value is the one that decides, or one of those that could.
func (o Outcome) HasLive(live string) bool {
	return o.Seen || o.Found && sameValue(o.Name, o.Value, live)
}

// Outcome returns what decides a setting's value at the end of a boot in which the module is loaded in
// time. The live value, "" if it is not known, is the proof of the one value among several possible
// ones that it equals.
func (i Inventory) Outcome(name, live string) Outcome {
	var o Outcome
	o.Assignment, o.Found = i.Effective(name)
	var possible []Assignment
	for _, a := range i.Assignments {
		// One with the value of the certain assignment changes nothing: systemd-sysctl.service itself may be
		// started once more.
		isSame := o.Found && a.Parameter == o.Parameter && a.Value == o.Value && a.AtLeast == o.AtLeast &&
			a.AtMost == o.AtMost
		if a.Name == name && a.NoEffect == "" && a.Uncertain != "" && !isSame {
			possible = append(possible, a)
			o.Doubts = append(o.Doubts, Doubt{a.Place, a.Value, a.Uncertain})
		}
	}
	for _, m := range i.Mentions {
		if slices.Contains(m.Sets, name) {
			o.Doubts = append(o.Doubts, Doubt{m.Place, "", "not understood: " + m.Text})
		}
	}
	if live == "" || len(o.Doubts) == 0 {
		return o
	}
	if o.Found {
		possible = append([]Assignment{o.Assignment}, possible...)
	}
	for _, a := range possible {
		if sameValue(name, a.Value, live) {
			return Outcome{Assignment: a, Found: true, Seen: true}
		}
	}
	return o
}

// sameValue reports whether the kernel stores two values of a setting as one.
func sameValue(name, value, live string) bool {
	s := sysfs.Lookup(name)
	return s != nil && Assignment{Name: name, Value: value}.Want().Satisfied(s.Parse(live))
}

// Want returns what an assignment wants of its setting, which must be one that sysfs.Lookup knows. Text and
// bools have no order: they are wanted exactly.
func (a Assignment) Want() sysfs.Want {
	s := sysfs.Lookup(a.Name)
	w := sysfs.Want{Setting: s, Policy: sysfs.Exactly, Value: s.Parse(a.Value)}
	switch isOrdered := s.Kind != sysfs.Bool && s.Kind != sysfs.Text; {
	case isOrdered && a.AtLeast:
		w.Policy = sysfs.AtLeast
	case isOrdered && a.AtMost:
		w.Policy = sysfs.AtMost
	}
	return w
}

// Effective returns the certain assignment that decides a setting's value at the end of a boot in which the
// module is loaded in time, and whether there is one. A parameter of the same name counts if
// nothing else sets the value. Of a line that is applied several times it returns the first.
func (i Inventory) Effective(name string) (Assignment, bool) {
	for _, last := range slices.Backward(i.Assignments) {
		if last.Name != name || last.NoEffect != "" || last.Uncertain != "" {
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
