package config

import "github.com/ctkeeper/ctkeeper/sysfs"

// Memory is what a want costs in bytes when the table is full: 8 a bucket of
// hashsize, at most 384 an entry of max and expect_max. False for settings that
// cost none, and for "no limit".
func Memory(w sysfs.Want) (int64, bool) { return 0, false }

// FormatBytes is a size for people: "2 MiB", "1.5 GiB".
func FormatBytes(n int64) string { return "" }
