package sysfs_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	exactly = sysfs.Exactly
	atLeast = sysfs.AtLeast
	atMost  = sysfs.AtMost
)

// step is the number of hash buckets in a page. The figures below are for pages of 4 KiB.
var step = os.Getpagesize() / 8

func needSmallPages(t *testing.T) {
	t.Helper()
	if step != 512 {
		t.Skipf("the figures are for 512 buckets in a page, here it holds %d", step)
	}
}

// text is a setting that the catalogue does not have: its values are compared as text.
const text = "net.netfilter.nf_log.2"

var satisfiedTests = []struct {
	setting string
	policy  sysfs.Policy
	value   string
	found   string
	want    bool
}{
	{"expect_max", exactly, "4096", "4096", true},
	{"expect_max", "", "4096", "4096", true},
	{"expect_max", exactly, "4096", " 4096\n", true},
	{"expect_max", exactly, "4096", "4097", false},
	{"expect_max", atLeast, "4096", "4095", false},
	{"expect_max", atLeast, "4096", "4096", true},
	{"expect_max", atLeast, "4096", "4097", true},
	{"expect_max", atMost, "4096", "4095", true},
	{"expect_max", atMost, "4096", "4096", true},
	{"expect_max", atMost, "4096", "4097", false},
	{"expect_max", exactly, "4096", "", false},
	{"expect_max", exactly, "4096", "many", false},
	{"expect_max", exactly, "4096", "4096 4096", false},

	{"hashsize", exactly, "10000", "10240", true},
	{"hashsize", exactly, "10240", "10240", true},
	{"hashsize", exactly, "10000", "9728", false},
	{"hashsize", exactly, "10000", "10752", false},
	{"hashsize", exactly, "1", "512", true},
	{"hashsize", atLeast, "10000", "9728", false},
	{"hashsize", atLeast, "10000", "10240", true},
	{"hashsize", atLeast, "10000", "10752", true},
	{"hashsize", atMost, "10000", "9728", true},
	{"hashsize", atMost, "10000", "10240", true}, // else a pass would write 10000 for ever
	{"hashsize", atMost, "10000", "10752", false},

	{"max", exactly, "0", "0", true},
	{"max", exactly, "0", "65536", false},
	{"max", exactly, "65536", "0", false},
	{"max", atLeast, "65536", "0", true},
	{"max", atMost, "65536", "0", false},
	{"max", atLeast, "0", "65536", false},
	{"max", atMost, "0", "65536", true},
	{"max", atLeast, "65536", "-1", true},
	{"max", atMost, "65536", "-1", false},
	{"max", exactly, "4294967295", "-1", true},
	{"expect_max", atLeast, "4096", "-1", true},
	{"expect_max", atLeast, "4096", "0", false}, // 0 is a limit here

	{"acct", exactly, "1", "1", true},
	{"acct", exactly, "1", "0", false},
	{"tcp_timeout_established", exactly, "86400", "86400", true},
	{"tcp_timeout_established", atMost, "86400", "432000", false},
	{"frag6_high_thresh", atLeast, "8589934592", "8589934593", true},

	{text, exactly, "NONE", "NONE", true},
	{text, exactly, "NONE", "nfnetlink_log", false},
	{text, exactly, "4096 131072", "4096\t131072", true},
	{text, exactly, " 4096  131072 ", "4096 131072\n", true},
	{text, exactly, "4096 131072", "131072 4096", false},
	{text, exactly, "010", "10", false},
}

func TestSatisfied(t *testing.T) {
	needSmallPages(t)
	for _, test := range satisfiedTests {
		s := sysfs.Lookup(test.setting)
		want := sysfs.Want{Setting: s, Policy: test.policy, Value: s.Parse(test.value)}
		t.Run(fmt.Sprintf("%s %s is %s", test.setting, want, test.found), func(t *testing.T) {
			if got := want.Satisfied(s.Parse(test.found)); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
}

func TestRaises(t *testing.T) {
	needSmallPages(t)
	tests := []struct {
		setting, value, found string
		want                  bool
	}{
		{"max", "65536", "32768", true},
		{"max", "65536", "65536", false},
		{"max", "65536", "131072", false},
		{"max", "0", "131072", true},
		{"max", "131072", "0", false},
		{"max", "131072", "-1", false},
		{"hashsize", "10000", "10240", false},
		{"hashsize", "10000", "9728", true},
		{"max", "65536", "", false},
		{"net.netfilter.nf_log.2", "NONE", "x", false},
	}
	for _, test := range tests {
		s := sysfs.Lookup(test.setting)
		want := sysfs.Want{Setting: s, Value: s.Parse(test.value)}
		if got := want.Raises(s.Parse(test.found)); got != test.want {
			t.Errorf("%s=%s over %q raises: %t, want %t", test.setting, test.value, test.found, got, test.want)
		}
	}
}

func TestRoundHashsize(t *testing.T) {
	needSmallPages(t)
	tests := map[int64]int64{ // as measured on kernels 5.10 to 7.2
		0: 0, 1: 512, 511: 512, 512: 512, 513: 1024, 8000: 8192, 10000: 10240, 100000: 100352, 262144: 262144,
	}
	for n, want := range tests {
		if got := sysfs.RoundHashsize(n); got != want {
			t.Errorf("RoundHashsize(%d) is %d, want %d", n, got, want)
		}
	}
}

func TestWantString(t *testing.T) {
	tests := map[string]sysfs.Want{
		"1048576":        {Policy: exactly, Value: sysfs.Number(1048576)},
		"1":              {Value: sysfs.Number(1)},
		"at_least 65536": {Policy: atLeast, Value: sysfs.Number(65536)},
		"at_most 24":     {Policy: atMost, Value: sysfs.Number(24)},
	}
	for want, w := range tests {
		if got := w.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestShows(t *testing.T) {
	needSmallPages(t)
	long := strings.Repeat("abcdefg ", 10)
	tests := []struct {
		setting, found, written string
		want                    bool
	}{
		{"max", "131072", "131072", true},
		{"max", "131072", "131072\n", true},
		{"max", "131072\n", "131072", true},
		{"max", "131072", " \t131072", true},
		{"max", "131072", "131072 65536", true},
		{"max", "131072", "131072\tand more", true},
		{"max", "131072", "65536", false},
		{"max", "131072", "131072x", false},
		{"max", "131072", "1", false},
		{"max", "131072", "", false},
		{"max", "131072", "\n", false},
		{"max", "", "131072", false},
		{"max", "131072", "0x20000", true},
		{"max", "131072", "0X20000", true},
		{"max", "131072", "0400000", true},
		{"max", "20000", "0x20000", false},
		{"max", "8", "010", true},
		{"max", "10", "010", false},
		{"max", "8", "08", false},
		{"max", "0", "0", true},
		{"max", "0", "0x", false},
		{"max", "0", "00", true},
		{"max", "-1", "-1", true},
		{"max", "4294967295", "-1", true},
		{"max", "4294967295", "-0x1", true},
		{"max", "4294967295", "0xffffffff", true},
		{"max", "1", "-1", false},
		{"max", "2", "0b10", false}, // Go's, not the kernel's
		{"max", "8", "0o10", false},
		{"max", "1000", "1_000", false},
		{"max", "5", "+5", false},
		{"max", "5", "--5", false},
		{"max", "5", "18446744073709551621", false},

		{"hashsize", "10240", "10000", true},
		{"hashsize", "10240", "10240", true},
		{"hashsize", "10240", "0x2710", true},
		{"hashsize", "10240", "10241", false},
		{"hashsize", "10240", "9728", false},

		{"acct", "1", "1", true},
		{"acct", "1", "0", false},
		{"frag6_high_thresh", "8589934593", "8589934593", true},

		{text, "nfnetlink_log", "nfnetlink_log\n", true},
		{text, "4096\t131072", "4096 131072", true},
		{text, "4096 131072", "4096", false},
		{text, "10", "010", false},
		{text, long, long[:63], true},
		{text, long, long[:62], false}, // not cut
		{text, long[:70], long[1:64], false},
		{text, long[:63], long[:63], true},
	}
	for _, test := range tests {
		s := sysfs.Lookup(test.setting)
		if got := s.Shows(s.Parse(test.found), test.written); got != test.want {
			t.Errorf("%s shows %q after %q: %t, want %t", test.setting, test.found, test.written, got, test.want)
		}
	}
}

// A numeric setting shows only numbers, and what it shows after a write of itself is itself.
func FuzzShows(f *testing.F) {
	f.Add("131072", " 0x20000 1")
	f.Add("8", "010\n")
	f.Add("4294967295", "-1")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, found, written string) {
		for _, s := range []*sysfs.Setting{sysfs.Lookup("hashsize"), sysfs.Lookup("max"), sysfs.Lookup("expect_max")} {
			if !s.Shows(s.Parse(found), written) {
				continue
			}
			if n, err := strconv.ParseInt(strings.TrimSpace(found), 10, 64); err != nil {
				t.Errorf("%s shows %q after %q, which is not a number", s.Name, found, written)
			} else if decimal := strconv.FormatInt(n, 10); !s.Shows(sysfs.Number(n), decimal) {
				t.Errorf("%s does not show %s after it was written", s.Name, decimal)
			}
		}
	})
}

func TestParseUint(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "16384": 16384, "+1": 1, "0x10": 16, "0XfF": 255, "010": 8,
		"4294967295": 1<<32 - 1} {
		if got, ok := sysfs.ParseUint(text); !ok || got != want {
			t.Errorf("%s is parsed as %d (%t), want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "-1", "1e6", "08", "0x", "1_000", "0b1", "0o7", "4294967296", " 1", "1 ",
		"++1", "auto"} {
		if got, ok := sysfs.ParseUint(text); ok {
			t.Errorf("%q is parsed as %d, want an error", text, got)
		}
	}
}

func TestParseBool(t *testing.T) {
	for text, want := range map[string]string{
		"1": "on", "y": "on", "Yes": "on", "true": "on", "on": "on", "1x": "on",
		"0": "off", "n": "off", "NO": "off", "false": "off", "off": "off", "of": "off",
		"": "invalid", "2": "invalid", "o": "invalid", " 1": "invalid",
	} {
		got := "invalid"
		if on, ok := sysfs.ParseBool(text); ok && on {
			got = "on"
		} else if ok {
			got = "off"
		}
		if got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
}
