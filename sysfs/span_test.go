package sysfs_test

import (
	"math"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// A number is in the span if and only if it satisfies the want. A 0 that means "no limit" counts
// as the largest number.
func TestSpan(t *testing.T) {
	step := sysfs.RoundHashsize(1)
	for _, name := range []string{"hashsize", "max", "expect_max", "udp_timeout"} {
		s := sysfs.Lookup(name)
		for _, policy := range []sysfs.Policy{sysfs.Exactly, sysfs.AtLeast, sysfs.AtMost} {
			for _, value := range []int64{1, 512, 1000, 10 * step, 10*step + 1, 1 << 20} {
				want := sysfs.Want{Setting: s, Policy: policy, Value: sysfs.Number(value)}
				low, high, ok := want.Span()
				if !ok {
					t.Fatalf("%s %s: no span", name, want)
				}
				numbers := []int64{
					0, 1, 2, step, step + 1,
					value - step, value - 1, value, value + 1, value + step,
					math.MaxInt32,
				}
				for _, n := range numbers {
					if n < 0 {
						continue
					}
					size := n
					if n == 0 && s.ZeroIsNoLimit {
						size = math.MaxInt64
					}
					got, satisfied := low <= size && size <= high, want.Satisfied(sysfs.Number(n))
					if n == 0 && name == "hashsize" { // which the kernel refuses
						continue
					}
					if got != satisfied {
						t.Errorf("%s %s: %d is within %d to %d: %t, satisfies: %t",
							name, want, n, low, high, got, satisfied)
					}
				}
			}
		}
	}
	unlimited := sysfs.Want{Setting: sysfs.Lookup("max"), Policy: sysfs.Exactly, Value: sysfs.Number(0)}
	if low, high, ok := unlimited.Span(); !ok || low != math.MaxInt64 || high != math.MaxInt64 {
		t.Errorf("no limit: %d to %d, %t", low, high, ok)
	}
	text := sysfs.Want{
		Setting: sysfs.Lookup("net.netfilter.nf_conntrack_unknown"),
		Policy:  sysfs.Exactly,
		Value:   sysfs.TextValue("5"),
	}
	if _, _, ok := text.Span(); ok {
		t.Error("text has a span")
	}
}
