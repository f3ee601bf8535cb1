package sysfs_test

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestDefaultBuckets(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for memory, want := range map[int64]int64{
		0: 262144, 64 * gib: 262144, 4*gib + 1: 262144,
		4 * gib: 65536, gib + 1: 65536,
		gib: 8192, 256 * mib: 2048, 128 * mib: 1024, mib: 1024,
	} {
		if got := sysfs.DefaultBuckets(memory); got != want {
			t.Errorf("DefaultBuckets(%d) is %d, want %d", memory, got, want)
		}
	}
}

func TestIsSameParameter(t *testing.T) {
	needSmallPages(t)
	tests := []struct {
		name, a, b string
		want       bool
	}{
		{"hashsize", "10000", "10240", true},
		{"hashsize", "0x2800", "10240", true},
		{"hashsize", "10241", "10240", false},
		{"hashsize", "0", "512", false},
		{"hashsize", "-512", "0", false},
		{"hashsize", "lots", "lots", true},
		{"expect_hashsize", "2047", "2048", true},
		{"acct", "1", "Y", true},
		{"acct", "0", "N", true},
		{"acct", "1", "N", false},
		{"enable_hooks", "2", "2", true},
	}
	for _, test := range tests {
		if got := sysfs.IsSameParameter(test.name, test.a, test.b); got != test.want {
			t.Errorf("%s: %s and %s are the same: %t, want %t", test.name, test.a, test.b, got, test.want)
		}
	}
}

func TestMemoryBytes(t *testing.T) {
	needSmallPages(t)
	for name, want := range map[string][2]int64{
		"hashsize": {10000, 10240 * 8}, "max": {1000, 384000}, "expect_max": {10, 3840}, "udp_timeout": {30, 0},
	} {
		w := sysfs.Want{Setting: sysfs.Lookup(name), Value: sysfs.Number(want[0])}
		if got := w.MemoryBytes(); got != want[1] {
			t.Errorf("%s %d costs %d bytes, want %d", name, want[0], got, want[1])
		}
	}
	if got := (sysfs.Want{Setting: sysfs.Lookup("max"), Value: sysfs.Number(0)}).MemoryBytes(); got != 0 {
		t.Errorf("no limit costs %d bytes, want 0", got)
	}
}
