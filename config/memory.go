package config

import (
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// "max: auto" is sized so that a full table takes 1/64 of RAM, within limits.
const (
	autoShare = 64
	autoMin   = 32768
	autoMax   = 8388608
	autoStep  = 1024
)

// FormatBytes formats a size for people: "2 MiB", "1.5 GiB".
func FormatBytes(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + " " + units[unit]
}

// maxFor returns the value of "max: auto" for an amount of RAM in bytes.
func maxFor(ram int64) int64 {
	n := min(max(ram/autoShare/sysfs.EntryBytes, autoMin), autoMax)
	return n - n%autoStep
}

// hashsizeFor returns the value of "hashsize: auto" for an amount of RAM in bytes and a wanted
// max, 0 for no limit: as many buckets, within sysfs.MostBuckets.
func hashsizeFor(ram, limit int64) int64 {
	if limit <= 0 {
		limit = maxFor(ram)
	}
	return max(1, min(limit, sysfs.MostBuckets(ram)))
}
