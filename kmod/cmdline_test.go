package kmod

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

func TestParseCommandLine(t *testing.T) {
	tests := []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \n", nil},
		{"BOOT_IMAGE=/vmlinuz root=UUID=1-2 ro  quiet\n",
			[]string{"BOOT_IMAGE=/vmlinuz", "root=UUID=1-2", "ro", "quiet"}},
		{`a="b c" "d=e f" "g h" i`, []string{"a=b c", "d=e f", "g h", "i"}},
		{`a="b c`, []string{"a=b c"}},
		{`a=b" "c d`, []string{`a=b" "c`, "d"}},
		{`"" =x ==y "`, []string{"", "=x", "==y", ""}},
		{"dash-ed-name=v-w \xff-\xff=1", []string{"dash-ed-name=v-w", "\xff-\xff=1"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, ParseCommandLine(test.text).Words); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
}

func TestValue(t *testing.T) {
	c := ParseCommandLine("lock-down=a bare nf_conntrack.x=1 lock_down=b empty= -- lock_down=c")
	tests := []struct {
		name, want string
		found      bool
	}{
		{"lock_down", "b", true}, {"lock-down", "b", true}, {"bare", "", false}, {"empty", "", true}, {"none", "",
			false},
	}
	for _, test := range tests {
		if got, found := c.Value(test.name); got != test.want || found != test.found {
			t.Errorf("%s: %q, %t, want %q, %t", test.name, got, found, test.want, test.found)
		}
	}
}

func TestCommandLineOptions(t *testing.T) {
	c := ParseCommandLine("nf-conntrack.hashsize=4096 x.y=1 nf_conntrack.acct " +
		`nf_conntrack.expect-hashsize="8" nf_conntrack. nf_conntrack_ftp.ports=1`)
	place := tree.Place{File: "/proc/cmdline"}
	want := []Option{
		{place, "hashsize", "4096", false}, {place, "acct", "", true}, {place, "expect_hashsize", "8", false},
	}
	if diff := cmp.Diff(want, c.Options("nf-conntrack")); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func TestBlacklistWord(t *testing.T) {
	tests := []struct{ text, want string }{
		{"quiet", ""},
		{"modprobe.blacklist=nf_conntrack", "modprobe.blacklist=nf_conntrack"},
		{"modprobe.blacklist=a,nf-conntrack,b", "modprobe.blacklist=a,nf-conntrack,b"},
		{"modprobe.blacklist=nf_conntrack modprobe.blacklist=b",
			"modprobe.blacklist=nf_conntrack"}, // every word is read
		{"modprobe.blacklist=nf_conntrack_sip,xnf_conntrack", ""},
		{"modprobe.blacklist= modprobe.blacklist", ""},
		{"module_blacklist=a,nf_conntrack", "module_blacklist=a,nf_conntrack"},
		{"module-blacklist=nf_conntrack", "module-blacklist=nf_conntrack"},
		{"module_blacklist=nf-conntrack", ""},                    // for the kernel "-" and "_" differ here
		{"module_blacklist=nf_conntrack module_blacklist=b", ""}, // and it reads the last word
		{`"module_blacklist=nf_conntrack"`, "module_blacklist=nf_conntrack"},
		{"-- module_blacklist=nf_conntrack", ""}, // for init
		{"-- modprobe.blacklist=nf_conntrack", "modprobe.blacklist=nf_conntrack"},
	}
	for _, test := range tests {
		if got := ParseCommandLine(test.text).BlacklistWord("nf-conntrack"); got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

func TestReadCommandLine(t *testing.T) {
	root := t.TempDir()
	const want = "open /proc/cmdline: no such file or directory"
	if _, err := ReadCommandLine(tree.At(root)); text(err) != want {
		t.Errorf("error %q, want %q", text(err), want)
	}
	kerneltree.Put(t, root, "proc/cmdline", "a=1 b\n")
	got, err := ReadCommandLine(tree.At(root))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a=1", "b"}, got.Words); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
}

func FuzzParseCommandLine(f *testing.F) {
	f.Add(`a="b c" "d=e f" -- =x nf-conntrack.hashsize=1 module_blacklist=a,b`)
	f.Add("\"\xff-=")
	f.Fuzz(func(t *testing.T, text string) {
		c := ParseCommandLine(text)
		length := 0
		for _, word := range c.Words {
			length += len(word)
			if name, value, bare := splitWord(word); !bare && len(name)+len(value)+1 != len(word) {
				t.Errorf("%q is split into %q and %q", word, name, value)
			}
		}
		if length > len(text) {
			t.Errorf("%d bytes of %d", length, len(text))
		}
		c.Options("nf_conntrack")
		c.Value("x")
		word := c.BlacklistWord("nf_conntrack")
		if word != "" && !strings.Contains(NormalizeName(word), "nf_conntrack") {
			t.Errorf("blacklisted by %q", word)
		}
	})
}
