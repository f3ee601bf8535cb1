package sysfs

import "math"

// Sysctls are the setting's sysctl files, below the root directory of the system: max has
// two, of which the alias is there in the initial network namespace alone.
func (s *Setting) Sysctls() []string {
	if s.file == sysctlFile("max") {
		return []string{s.file, aliasFile}
	}
	return []string{s.file}
}

// Span gives the least and the greatest number that satisfy the want, as the kernel stores
// numbers: a hash size that is rounded up to the one that is wanted is within. Where 0 is no
// limit, and so satisfies like the greatest number there is, it does not count as 0. False is
// a want that is no number.
func (w Want) Span() (low, high int64, ok bool) {
	n, ok := w.Setting.number(w.Value)
	if !ok || w.Setting.Kind == Text {
		return 0, 0, false
	}
	low, high = n, n
	if w.Setting.step { // all that is rounded up to n
		low = n - RoundHashsize(1) + 1
	}
	switch w.Policy {
	case AtLeast:
		high = math.MaxInt64
	case AtMost:
		low = 0
	}
	return low, high, true
}
