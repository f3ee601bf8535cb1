package sysfs

import (
	"math/bits"
	"os"
	"strconv"
	"strings"
)

// Policy says how a live value is held against the wanted one.
type Policy string

// The policies of a want, by their names in configurations.
const (
	Exactly Policy = "exactly"
	AtLeast Policy = "at_least"
	AtMost  Policy = "at_most"
)

// Want is what a configuration asks of one setting.
type Want struct {
	Setting *Setting
	Policy  Policy
	// Value is the text that is written to the kernel.
	Value string
	// Origin is the place that asks, as file:line.
	Origin string
	// Auto is true where Value was sized from the host's memory.
	Auto bool
}

// Satisfied reports whether the kernel's text found is what w asks for. Numbers
// are compared as the kernel stores them: a hash size counts in whole pages of
// buckets, so 10000 is satisfied by 10240.
func (w Want) Satisfied(found string) bool {
	if w.Setting.Kind == Text {
		return sameWords(found, w.Value)
	}
	have, ok1 := w.Setting.number(found)
	want, ok2 := w.Setting.number(w.Value)
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

// Raises reports whether writing w over found makes the setting larger.
func (w Want) Raises(found string) bool {
	have, ok1 := w.Setting.number(found)
	want, ok2 := w.Setting.number(w.Value)
	return ok1 && ok2 && want > have
}

// String is the want as a person would say it: "1048576", "at_least 65536".
func (w Want) String() string {
	if w.Policy == Exactly || w.Policy == "" {
		return w.Value
	}
	return string(w.Policy) + " " + w.Value
}

// number gives a value's size as the kernel understands it. "No limit" is the
// largest there is; a negative number (5.10 takes -1 for max) is the kernel's
// unsigned one.
func (s *Setting) number(text string) (int64, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return 0, false
	}
	if n < 0 {
		n += 1 << 32
	}
	if n == 0 && s.ZeroIsNoLimit {
		return 1<<63 - 1, true
	}
	if s.step {
		n = RoundHashsize(n)
	}
	return n, true
}

// told is how much of a written value a BPF program hears of: bpf_sysctl_get_new_value copies
// it into 64 bytes with a NUL at the end.
const told = 63

// Holds reports whether the kernel shows found after somebody wrote written: 0x20000 is shown
// as 131072, and a hash size of 10000 as 10240. Numbers are read as proc_get_long does. Texts
// are compared word by word; one of 63 bytes is taken for the beginning of a longer one.
func (s *Setting) Holds(found, written string) bool {
	if s.Kind == Text {
		return sameWords(found, written) || len(written) >= told && strings.HasPrefix(words(found), words(written))
	}
	have, ok := s.number(found)
	decimal, parsed := asKernel(written)
	if !ok || !parsed {
		return false
	}
	put, ok := s.number(decimal)
	return ok && have == put
}

// asKernel reads a number as proc_get_long does, and gives it in decimal: 0x begins a
// hexadecimal one and 0 an octal one, white space before it is skipped, and all after the
// white space behind it is passed over.
func asKernel(written string) (string, bool) {
	fields := strings.Fields(written)
	if len(fields) == 0 {
		return "", false
	}
	digits, negative := strings.CutPrefix(fields[0], "-")
	base := 10
	switch {
	case len(digits) > 2 && strings.EqualFold(digits[:2], "0x"):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 63)
	if err != nil {
		return "", false
	}
	decimal := strconv.FormatUint(n, 10)
	if negative {
		decimal = "-" + decimal
	}
	return decimal, true
}

// RoundHashsize rounds a number of hash buckets up to whole pages, as
// nf_ct_alloc_hashtable does: a bucket is one pointer, so with pages of 4 KiB
// 64-bit kernels count in steps of 512 buckets, with 64 KiB in steps of 8192.
func RoundHashsize(n int64) int64 {
	step := int64(os.Getpagesize() / (bits.UintSize / 8))
	return (n + step - 1) / step * step
}

func sameWords(a, b string) bool {
	return words(a) == words(b)
}

func words(text string) string { return strings.Join(strings.Fields(text), " ") }
