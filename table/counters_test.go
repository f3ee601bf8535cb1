package table

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// The headers of 6.x and of 2.6.32 (CentOS 6).
const (
	newHeader = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop " +
		"icmp_error  expect_new expect_create expect_delete search_restart\n"
	oldHeader = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop " +
		"icmp_error  expect_new expect_create expect_delete search_restart\n"
)

func TestParseCounters(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]uint64 // those that are not 0
	}{
		{
			"two processors, 6.x",
			newHeader +
				"000000ff  00000001 0000000a 00000000 00000010 00000000 00000000 00000003 00000000 00000002 " +
				"ffffffff 00000007 00000000  00000000 00000000 00000000 00000005\n" +
				"000000ff  00000000 00000001 00000000 00000001 00000000 00000000 00000000 00000000 00000002 " +
				"00000001 00000001 00000000  00000000 00000000 00000000 00000000\n",
			map[string]uint64{
				"entries": 255, "clashres": 1, "found": 11, "invalid": 17, "chainlength": 3, "insert_failed": 4,
				"drop": 1 << 32, "early_drop": 8, "search_restart": 5,
			},
		},
		{
			"one processor, 2.6.32",
			oldHeader +
				"00000010  00000002 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 " +
				"00000000 00000000 00000000  00000001 00000001 00000001 00000000\n",
			map[string]uint64{"entries": 16, "searched": 2, "expect_new": 1, "expect_create": 1, "expect_delete": 1},
		},
		{"unknown columns", "entries found shiny\n1 2 3\n1 2 3\n",
			map[string]uint64{"entries": 1, "found": 4, "shiny": 6}},
		{"more counters than names", "entries found\n1 2 3\n", map[string]uint64{"entries": 1, "found": 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseCounters(test.text)
			if err != nil {
				t.Fatal(err)
			}
			maps.DeleteFunc(got, func(_ string, n uint64) bool { return n == 0 })
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCountersErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "", "cannot read /proc/net/stat/nf_conntrack: no header line or no counters in it"},
		{"only the header", newHeader, "cannot read /proc/net/stat/nf_conntrack: no header line or no counters in it"},
		{"no header", "\n1 2\n", "cannot read /proc/net/stat/nf_conntrack: no header line or no counters in it"},
		{
			"truncated",
			"entries found\n1\n",
			"cannot read /proc/net/stat/nf_conntrack: no header line or no counters in it",
		},
		{"not a number", "entries found\n1 x\n",
			`cannot read /proc/net/stat/nf_conntrack: strconv.ParseUint: parsing "x": invalid syntax`},
		{"-", "", "cannot read the counters: open /proc/net/stat/nf_conntrack: no such file or directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			if test.name != "-" {
				put(t, root, statPath, test.text)
			}
			_, err := Counters(tree.At(root))
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(test.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCountersLink(t *testing.T) {
	// As in /proc, and in a copy by rsync(1), net is a link to self/net.
	root := t.TempDir()
	put(t, root, "proc/self/net/stat/nf_conntrack", "entries drop\n10 1\n10 2\n")
	if err := os.Symlink("self/net", filepath.Join(root, "proc/net")); err != nil {
		t.Fatal(err)
	}
	got, err := Counters(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]uint64{"entries": 16, "drop": 3}, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestHelperOf(t *testing.T) {
	const tuple = "l3proto = 2 proto=17 src=192.0.2.1 dst=198.51.100.2 sport=0 dport=4000 "
	tests := []struct{ name, line, want string }{
		{"helper and policy", "179 " + tuple + "sip/audio", "sip"},
		{"flags too", "- " + tuple + "PERMANENT,INACTIVE sip-1/signalling", "sip-1"},
		{"only a helper", "297 " + tuple + "ftp", "ftp"},
		{"policy without a name, before 3.10", "297 " + tuple + "ftp/", "ftp"},
		{"from user space, without a helper", "10 " + tuple + "USERSPACE", ""},
		{"from user space, with a helper", "10 " + tuple + "USERSPACE rpc/rpc", "rpc"},
		{"flags that are not shown leave two blanks", "10 " + tuple + " tftp", "tftp"},
		{"without a helper", "10 " + tuple, ""},
		{"a protocol without ports", "10 l3proto = 2 proto=50 src=192.0.2.1 dst=192.0.2.2 pptp", "pptp"},
		{"GRE", "10 l3proto = 2 proto=47 src=192.0.2.1 dst=192.0.2.2 srckey=0x1 dstkey=0x2 PERMANENT pptp", "pptp"},
		{"a policy with a blank", "10 " + tuple + "mine/two words", "mine"},
		{"nothing", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := helperOf(test.line + "\n"); got != test.want {
				t.Errorf("want %q, got %q", test.want, got)
			}
		})
	}
}

func TestExpectationsByHelper(t *testing.T) {
	const tuple = "- l3proto = 2 proto=17 src=192.0.2.1 dst=198.51.100.2 sport=0 dport=4000 "
	root := t.TempDir()
	if _, err := ExpectationsByHelper(tree.At(root)); !errors.Is(err, fs.ErrNotExist) ||
		err.Error() != "cannot read the expectations: open /proc/net/nf_conntrack_expect: no such file or directory" {
		t.Errorf("without the file: %v", err)
	}
	put(t, root, expectFile, strings.Repeat(tuple+"sip/audio\n", 3)+tuple+"sip/signalling\n"+tuple+"ftp\n"+tuple+"\n")
	got, err := ExpectationsByHelper(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"sip": 4, "ftp": 1, "": 1}, got); diff != "" {
		t.Errorf("helpers (-want +got):\n%s", diff)
	}
	if n := Read(tree.At(root)).Expectations; n == nil || *n != 6 {
		t.Errorf("Read returns %v expectations", n)
	}
}

func put(t *testing.T, root, path, text string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func FuzzParseCounters(f *testing.F) {
	f.Add(newHeader + strings.Repeat("000000ff ", 17) + "\n")
	f.Add("entries entries\n1 2\n")
	f.Fuzz(func(t *testing.T, text string) {
		counters, err := parseCounters(text)
		if (err == nil) != (len(counters) > 0) {
			t.Errorf("%d counters, error %v", len(counters), err)
		}
	})
}

func FuzzHelperOf(f *testing.F) {
	f.Add("- l3proto = 2 proto=17 src=192.0.2.1 dst=198.51.100.2 sport=0 dport=4000 PERMANENT,INACTIVE sip/audio\n")
	f.Add("mine /policy\n")
	f.Fuzz(func(t *testing.T, line string) {
		if helper := helperOf(line); strings.Contains(helper, "/") || strings.TrimSpace(helper) != helper {
			t.Errorf("helper %q", helper)
		}
	})
}
