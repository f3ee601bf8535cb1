package sysfs

import (
	"math"
	"math/bits"
	"os"
	"strconv"
)

// The kernel's arithmetic of the connection table.
const (
	// BucketBytes is the size of one hash bucket: a pointer, struct hlist_nulls_head.
	BucketBytes = 8
	// EntryBytes is the most that one entry takes: struct nf_conn with its extensions, 320 to
	// 384 bytes by configuration of the kernel.
	EntryBytes = 384
	// MaxBuckets is the largest hash size that nf_ct_alloc_hashtable accepts:
	// UINT_MAX / sizeof(struct hlist_nulls_head). Above it a write, or a load, fails with ENOMEM.
	MaxBuckets = math.MaxUint32 / BucketBytes
	// LoadMaxFactor: loading with hashsize=N sets max to 8 × N (nf_conntrack_init_start: a size
	// that was given keeps max_factor at 8), until somebody writes max.
	LoadMaxFactor = 8
	// ExpectMaxFactor: loading with expect_hashsize=N sets expect_max to 4 × N
	// (nf_conntrack_expect_init).
	ExpectMaxFactor = 4
	// ExpectShare: loading without expect_hashsize= makes one bucket of expectations for 256
	// buckets of connections (nf_conntrack_expect_init).
	ExpectShare = 256
	// TableShare: ctkeeper refuses a hash table of more than 1/4 of RAM. The kernel allocates
	// the table in one piece, and does not load the module where it cannot: it refuses more
	// pages than there are (vmalloc), and rarely finds most of them free.
	TableShare = 4
)

// DefaultBuckets returns the most buckets that any kernel chooses by itself with this much memory in
// bytes (nf_conntrack_init_start). A memory of 0 is unknown: the result is the most of any host.
func DefaultBuckets(memory int64) int64 {
	const gib = 1 << 30
	switch {
	case memory > 4*gib, memory == 0:
		return 262144
	case memory > gib:
		return 65536
	}
	return max(1024, memory/16384/BucketBytes)
}

// RoundHashsize rounds a number of hash buckets up to whole pages, as nf_ct_alloc_hashtable
// does: with pages of 4 KiB 64-bit kernels count in steps of 512 buckets, with 64 KiB in steps
// of 8192.
func RoundHashsize(n int64) int64 {
	step := int64(os.Getpagesize() / (bits.UintSize / 8))
	return (n + step - 1) / step * step
}

// MostBuckets returns the largest hash size that ctkeeper accepts for an amount of RAM in bytes: 1/4
// of it, and no more than the kernel allows. It is a whole number of pages of buckets.
func MostBuckets(memory int64) int64 {
	n := min(memory/TableShare/BucketBytes, MaxBuckets)
	return n - n%RoundHashsize(1)
}

// TableBytes is the size of a hash table of n buckets, in bytes.
func TableBytes(n int64) int64 { return RoundHashsize(n) * BucketBytes }

// IsSameParameter compares two values of a load-time parameter as the kernel stores them: hash sizes are rounded up
// to whole pages, and a bool is shown as Y or N (param_get_bool).
func IsSameParameter(name, a, b string) bool {
	return normalizeParameter(name, a) == normalizeParameter(name, b)
}

// SettingOf returns the setting of which a load-time parameter is only the first value: the kernel copies the parameter
// into each network namespace that is made (nf_conntrack_acct_pernet_init and the like), and "" for other parameters.
func SettingOf(parameter string) string {
	return map[string]string{"acct": "acct", "tstamp": "timestamp", "nf_conntrack_helper": "helper"}[parameter]
}

func normalizeParameter(name, value string) string {
	if name == Hashsize || name == ExpectHashsize {
		if n, err := strconv.ParseInt(value, 0, 64); err == nil && n > 0 {
			return strconv.FormatInt(RoundHashsize(n), 10)
		}
		return value
	}
	switch value {
	case "Y", "y":
		return "1"
	case "N", "n":
		return "0"
	}
	return value
}

// MemoryBytes returns what the want costs in bytes of kernel memory when the table is full:
// the buckets of hashsize, the entries of max and expect_max. It is 0 for settings that cost
// nothing, and for "no limit".
func (w Want) MemoryBytes() int64 {
	n, ok := w.Value.Int()
	if !ok || n <= 0 {
		return 0
	}
	switch w.Setting.Name {
	case Hashsize:
		return TableBytes(n)
	case Max, ExpectMax:
		return n * EntryBytes
	}
	return 0
}
