package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	kib = int64(1024)
	mib = 1024 * kib
	gib = 1024 * mib
)

func TestAutoSizes(t *testing.T) {
	for _, test := range []struct{ ram, max, hashsize int64 }{
		{4 * mib, 32768, 32768}, // 1/4 of RAM is 131072 buckets
		{512 * kib, 32768, 16384},
		{16 * kib, 32768, 512},
		{512 * mib, 32768, 32768},
		{gib, 43008, 43008},
		{8 * gib, 349184, 349184},
		{256 * gib, 8388608, 8388608},
		{4096 * gib, 8388608, 8388608},
	} {
		if got := maxFor(test.ram); got != test.max {
			t.Errorf("%s: max %d, want %d", FormatBytes(test.ram), got, test.max)
		}
		got := hashsizeFor(test.ram, maxFor(test.ram))
		if got != test.hashsize {
			t.Errorf("%s: hashsize %d, want %d", FormatBytes(test.ram), got, test.hashsize)
		}
		if sysfs.TableBytes(got) > test.ram/sysfs.TableShare {
			t.Errorf("%s: hashsize %d takes over 1/4", FormatBytes(test.ram), got)
		}
	}
}

// TestMostBuckets checks the kernel's limit, UINT_MAX / 8, rounded down to whole pages.
func TestMostBuckets(t *testing.T) {
	for ram, want := range map[int64]int64{8 * gib: 268435456, 16*gib - 1: 536870400, 4096 * gib: 536870400} {
		if got := sysfs.MostBuckets(ram); got != want {
			t.Errorf("MostBuckets(%s) = %d, want %d", FormatBytes(ram), got, want)
		}
		if got := hashsizeFor(ram, 2147483647); got != want {
			t.Errorf("hashsizeFor(%s, 2147483647) = %d, want %d", FormatBytes(ram), got, want)
		}
	}
}

func TestHashsizeFollowsMax(t *testing.T) {
	for _, test := range []struct{ max, want string }{
		{"max: 100000", "100000"},
		{"max: {at_most: 5000}", "5000"},
		{"max: 0", "349184"},             // no limit: what auto would be
		{"max: 2147483647", "268435456"}, // 1/4 of 8 GiB
		{"max: auto", "349184"},
		{"acct: 1", "349184"},
	} {
		c := load(t, host(t, map[string]string{
			DefaultMain: "settings: {hashsize: auto, " + test.max + "}",
		}))
		w, _ := c.Want("hashsize")
		if w.Value.String() != test.want || !w.Auto {
			t.Errorf("%s: hashsize %s (auto %t), want %s", test.max, w.Value, w.Auto, test.want)
		}
	}
}

func TestMemoryUnknown(t *testing.T) {
	for name, meminfo := range map[string]string{
		"no file":     "-> nowhere",
		"no MemTotal": "MemFree: 5 kB\n",
		"zero":        "MemTotal: 0 kB\n",
		"nonsense":    "MemTotal: many kB\n",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, "/proc/meminfo", meminfo)
			put(t, root, DefaultMain, "settings:\n  hashsize: 536870400\n")
			load(t, root)
			// 1/4 of RAM is not known, and the kernel's limit is: this is rounded up to UINT_MAX / 8 + 1.
			put(t, root, DefaultMain, "settings:\n  hashsize: 536870401\n")
			wantErr := DefaultMain + ":2:13: settings.hashsize: the kernel allocates no table of 536870912 buckets " +
				"(up to 536870400)"
			if _, err := (Source{Root: root}).Load(); err == nil || err.Error() != root+wantErr {
				t.Errorf("hashsize above the kernel's limit: %v, want %s", err, wantErr)
			}
			put(t, root, DefaultMain, "")
			put(t, root, etcDir+"a.yaml", "settings:\n  max: {at_least: auto}\n")
			_, err := Source{Root: root}.Load()
			wantErr = etcDir + "a.yaml:2:19: settings.max: cannot be sized: cannot read the host's memory"
			if err == nil || !strings.Contains(err.Error(), wantErr) {
				t.Errorf("auto: %v", err)
			}
		})
	}
	c := load(t, t.TempDir())
	if len(c.Wants) > 0 || !strings.HasPrefix(c.Warnings[0], "the embedded default is left out: cannot read") {
		t.Errorf("the default: %v, warnings %q", c.Wants, c.Warnings)
	}
}

func TestTablesOverAQuarterOfRAM(t *testing.T) {
	// 8 GiB: 268435456 buckets are 2 GiB.
	for yaml, ok := range map[string]bool{
		"settings: {hashsize: 268435456}":                        true,
		"settings: {hashsize: 268435457}":                        false,
		"settings: {hashsize: {at_least: 268435457}}":            false,
		"module: {parameters: {hashsize: 268435456}}":            true,
		"module: {parameters: {hashsize: 268435457}}":            false,
		"module: {parameters: {expect_hashsize: 268435457}}":     false,
		"settings: {max: 2147483647, expect_max: 2147483647}":    true,
		"settings: {hashsize: 268435000, max: {at_least: auto}}": true,
	} {
		_, err := Source{Root: host(t, map[string]string{DefaultMain: yaml})}.Load()
		if (err == nil) != ok {
			t.Errorf("%s: %v", yaml, err)
		}
	}
	// A later file may correct it.
	load(t, host(t, map[string]string{
		DefaultMain: "settings: {hashsize: 536870911}", etcDir + "a.yaml": "settings: {hashsize: 512}",
	}))
}

func TestFragmentThresholds(t *testing.T) {
	for _, test := range []struct {
		low, high string
		ok        bool
	}{
		{"5", "5", true},
		{"6", "5", false},
		{"{at_least: 6}", "{at_most: 5}", false},
		{"{at_most: 6}", "5", true},
		{"6", "{at_least: 5}", true},
	} {
		yaml := fmt.Sprintf("settings: {frag6_low_thresh: %s, frag6_high_thresh: %s}", test.low, test.high)
		_, err := Source{Root: host(t, map[string]string{DefaultMain: yaml})}.Load()
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}

func TestFormatBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 512: "512 bytes", 2 * mib: "2 MiB", 3 * gib / 2: "1.5 GiB", 5000 * 1024 * gib: "5000 TiB",
	} {
		if got := FormatBytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
