package kmod

import "fmt"

// IsBefore reports whether a kernel release is older than version MAJOR.MINOR. known is false for a release
// that does not begin with two numbers.
func IsBefore(release string, major, minor int) (before, known bool) {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n < 2 {
		return false, false
	}
	return a < major || a == major && b < minor, true
}
