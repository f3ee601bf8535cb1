package sysfs

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Policy is how a live value is compared with the wanted one.
type Policy string

// The policies of a want, by their names in configurations.
const (
	Exactly Policy = "exactly"
	AtLeast Policy = "at_least"
	AtMost  Policy = "at_most"
)

// Want is the value that a configuration wants for one setting.
type Want struct {
	Setting *Setting
	Policy  Policy
	// Value is what is written to the kernel.
	Value Value
	// Origin is the place of the value in the configuration.
	Origin tree.Place
	// Auto is true where Value was sized from the host's memory.
	Auto bool
}

// Satisfied reports whether a live value needs no write. Numbers are compared as the kernel
// stores them: a hash size counts in whole pages of buckets, so 10000 is satisfied by 10240.
func (w Want) Satisfied(live Value) bool {
	if w.Setting.Kind == Text {
		return sameWords(live.text, w.Value.text)
	}
	have, ok1 := w.Setting.stored(live)
	want, ok2 := w.Setting.stored(w.Value)
	if !ok1 || !ok2 {
		return false
	}
	switch w.Policy {
	case AtLeast:
		return have >= want
	case AtMost:
		return have <= want
	default:
		return have == want
	}
}

// Raises reports whether writing w over a live value makes the setting larger.
func (w Want) Raises(live Value) bool {
	have, ok1 := w.Setting.stored(live)
	want, ok2 := w.Setting.stored(w.Value)
	return ok1 && ok2 && want > have
}

// String is the want for people: "1048576", "at_least 65536".
func (w Want) String() string { return w.Policy.Of(w.Value) }

// Of is a wanted value for people: "1048576", "at_least 65536".
func (p Policy) Of(v Value) string {
	if p == Exactly || p == "" {
		return v.String()
	}
	return string(p) + " " + v.String()
}

// Span returns the smallest and the largest number that satisfy the want, as the kernel stores
// numbers: a hash size that is rounded up to the wanted one is included. A 0 that means "no
// limit", and so satisfies like the largest number, is not counted as 0. False means that the
// want is not a number.
func (w Want) Span() (low, high int64, ok bool) {
	n, ok := w.Setting.stored(w.Value)
	if !ok {
		return 0, 0, false
	}
	low, high = n, n
	if w.Setting.step { // everything that is rounded up to n
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

// stored returns a value as the kernel understands it. "No limit" is the largest number there
// is; a negative number (5.10 takes -1 for max) is the kernel's unsigned one.
func (s *Setting) stored(v Value) (int64, bool) {
	n, ok := v.Int()
	switch {
	case !ok:
		return 0, false
	case n < 0:
		n += 1 << 32
	case n == 0 && s.ZeroIsNoLimit:
		return math.MaxInt64, true
	}
	if s.step {
		n = RoundHashsize(n)
	}
	return n, true
}

// bpfText is how many bytes of a written value a BPF program sees: bpf_sysctl_get_new_value
// copies it into 64 bytes with a NUL at the end.
const bpfText = 63

// Shows reports whether the kernel shows live after somebody wrote the text written: 0x20000
// is shown as 131072, and a hash size of 10000 as 10240. Numbers are parsed as proc_get_long
// does. Texts are compared word by word; a written text of 63 bytes may be the beginning of a
// longer one.
func (s *Setting) Shows(live Value, written string) bool {
	if s.Kind == Text {
		return sameWords(live.text, written) ||
			len(written) >= bpfText && strings.HasPrefix(words(live.text), words(written))
	}
	have, ok := s.stored(live)
	n, parsed := ParseLong(written)
	if !ok || !parsed {
		return false
	}
	put, ok := s.stored(Number(n))
	return ok && have == put
}

// longText is the length from which on proc_get_long refuses a number: TMPBUFLEN - 1.
const longText = 21

// ParseLong parses what is written to a sysctl file as proc_get_long (kernel/sysctl.c) does: 0x begins a
// hexadecimal number and 0 an octal one, white space before the number is skipped, and so is everything
// from the first blank, tab or line feed after it. Tried on 6.18: "600 # text" sets 600; "34# text",
// "600\r", "+5", "1_000" and 21 digits are invalid.
func ParseLong(written string) (int64, bool) {
	text := strings.TrimLeft(written, " \t\n\v\f\r")
	if end := strings.IndexAny(text, " \t\n"); end >= 0 {
		text = text[:end]
	}
	digits, negative := strings.CutPrefix(text, "-")
	n, ok := parseDigits(digits, 63)
	if negative {
		n = -n
	}
	return n, ok && len(text) < longText
}

// ParseUint parses the text of an unsigned module parameter as kstrtouint in base 0 does. Nothing may
// precede the number but a plus sign, and nothing may follow it but one line feed.
func ParseUint(text string) (int64, bool) {
	return parseDigits(strings.TrimSuffix(strings.TrimPrefix(text, "+"), "\n"), 32)
}

// ParseBool parses the text of a bool module parameter. As kstrtobool does, it looks at the first character
// only, or at the second one of "on" and "off". Kernels that do not accept t and f log it.
func ParseBool(text string) (value, ok bool) {
	text = strings.ToLower(text)
	hasPrefix := func(prefix string) bool { return strings.HasPrefix(text, prefix) }
	if slices.ContainsFunc([]string{"y", "t", "1", "on"}, hasPrefix) {
		return true, true
	}
	return false, slices.ContainsFunc([]string{"n", "f", "0", "of"}, hasPrefix)
}

// parseDigits parses digits of at most that many bits: after 0x hexadecimal ones, after 0 octal ones
// (_parse_integer_fixup_radix).
func parseDigits(digits string, bits int) (int64, bool) {
	base := 10
	switch {
	case len(digits) > 2 && strings.EqualFold(digits[:2], "0x"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, bits)
	return int64(n), err == nil
}

func sameWords(a, b string) bool { return words(a) == words(b) }

func words(text string) string { return strings.Join(strings.Fields(text), " ") }
