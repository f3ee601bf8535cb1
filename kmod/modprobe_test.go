package kmod

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// texts returns the text of each trouble.
func texts(troubles []tree.Trouble) []string {
	var lines []string
	for _, t := range troubles {
		lines = append(lines, t.Error())
	}
	return lines
}

func at(file string, line int) tree.Place { return tree.Place{File: file, Line: line} }

// modprobeTexts agree with modprobe --showconfig of kmod 30 on the same lines.
var modprobeTexts = []struct {
	name, text string
	want       []Directive
	troubles   []string
}{
	{"empty", "", nil, nil},
	{"blank and comments", "\n \t\n# x\n  # y\n", nil, nil},
	{"options", "options nf-conntrack hashsize=1\n",
		[]Directive{{at("f", 1), "options", "nf_conntrack", "hashsize=1"}}, nil},
	{"no end of line", "blacklist a", []Directive{{at("f", 1), "blacklist", "a", ""}}, nil},
	{"blanks", "\t options\t a_b   x=1  y=2 \t\n", []Directive{{at("f", 1), "options", "a_b", "x=1  y=2"}}, nil},
	{"joined", "\noptions a x=1 \\\n  y=2\\\nz=3\nblacklist b\n", []Directive{
		{at("f", 2), "options", "a", "x=1   y=2z=3"}, {at("f", 5), "blacklist", "b", ""},
	}, nil},
	{"a comment goes on in the next line", "# x \\\nblacklist a\nblacklist b\n",
		[]Directive{{at("f", 3), "blacklist", "b", ""}}, nil},
	{"backslashes", `options a x=\"b\\c` + "\n" + `blacklist d\`, []Directive{
		{at("f", 1), "options", "a", `x="b\c`}, {at("f", 2), "blacklist", "d", ""},
	}, nil},
	{"more words", "blacklist a b c\n", []Directive{{at("f", 1), "blacklist", "a", ""}}, nil},
	{"install", "install nf_conntrack /bin/false\nremove x-y /sbin/x  -r\n", []Directive{
		{at("f", 1), "install", "nf_conntrack", "/bin/false"}, {at("f", 2), "remove", "x_y", "/sbin/x  -r"},
	}, nil},
	{"dependencies", "softdep a-b pre: c-d post: e\nweakdep a b\n", []Directive{
		{at("f", 1), "softdep", "a_b", "pre: c-d post: e"}, {at("f", 2), "weakdep", "a", "b"},
	}, nil},
	{"aliases", "alias net-pf-[0-9]-x nf-conntrack extra\nalias nf_conntrack off\n", []Directive{
		{at("f", 1), "alias", "nf_conntrack", "net_pf_[0-9]_x"}, {at("f", 2), "alias", "off", "nf_conntrack"},
	}, nil},
	{"words missing", "blacklist\noptions a\ninstall \nalias x\nremove x \nsoftdep\n", nil, []string{
		"f:1: blacklist names no module", "f:2: options needs a module and an argument",
		"f:3: install needs a module and an argument", "f:4: alias needs a name and a module",
		"f:5: remove needs a module and an argument", "f:6: softdep needs a module and an argument",
	}},
	{"unknown", "black-list a\ninclude /etc/x\nconfig y\nOPTIONS a b=1\n", nil, []string{
		`f:1: unknown directive "black-list"`, "f:2: include is no longer read by modprobe",
		"f:3: config is no longer read by modprobe", `f:4: unknown directive "OPTIONS"`,
	}},
	{"CR LF line ends", "blacklist a\r\n\r\noptions b c=1\r\n", []Directive{
		{at("f", 1), "blacklist", "a\r", ""}, {at("f", 3), "options", "b", "c=1"},
	}, []string{"f:1: line ends in a carriage return, which modprobe reads as part of the last word"}},
	{"invalid UTF-8", "blacklist a\xff\n\xfe\xfd x\n", []Directive{{at("f", 1), "blacklist", "a\xff", ""}},
		[]string{`f:2: unknown directive "\xfe\xfd"`}},
	{"binary", "blacklist a\n\x7fELF\x00\n", nil, []string{"f: binary file"}},
}

func TestParseModprobe(t *testing.T) {
	for _, test := range modprobeTexts {
		t.Run(test.name, func(t *testing.T) {
			got, troubles := ParseModprobe("f", []byte(test.text))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("directives (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.troubles, texts(troubles)); diff != "" {
				t.Errorf("troubles (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseModprobeLimitsTroubles(t *testing.T) {
	_, troubles := ParseModprobe("f", []byte(strings.Repeat("x y\r\n", 5000)))
	if got := len(troubles); got != maxTroubles+1 {
		t.Errorf("%d troubles", got)
	}
	const want = "f: and 4991 more lines like these"
	if got := troubles[len(troubles)-1].Error(); got != want {
		t.Errorf("last trouble %q, want %q", got, want)
	}
	_, troubles = ParseModprobe("f", []byte(strings.Repeat("x", 5000)))
	if want := "f:1: unknown directive \"" + strings.Repeat("x", 40) + "\""; troubles[0].Error() != want {
		t.Errorf("trouble %q, want %q", troubles[0].Error(), want)
	}
}

func FuzzParseModprobe(f *testing.F) {
	for _, test := range modprobeTexts {
		f.Add([]byte(test.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		directives, troubles := ParseModprobe("f", text)
		if len(troubles) > maxTroubles+1 {
			t.Errorf("%d troubles", len(troubles))
		}
		lines := strings.Count(string(text), "\n") + 1
		for _, d := range directives {
			isJoined := strings.Contains(d.Args, "\n") && !strings.Contains(string(text), "\\")
			if d.Kind == "" || d.Module == "" || d.Line < 1 || d.Line > lines || isJoined {
				t.Errorf("directive %+v", d)
			}
			d.matches("nf_conntrack")
		}
		m := Modprobe{Directives: directives}
		for _, d := range directives {
			m.Options(d.Module)
		}
	})
}

func TestReadModprobe(t *testing.T) {
	root := t.TempDir()
	put := func(name, text string) { kerneltree.Put(t, root, name, text) }
	put("etc/modprobe.d/50-b.conf", "options b etc=1\n")
	put("etc/modprobe.d/.hidden.conf", "options b hidden=1\n")
	put("etc/modprobe.d/10-old", "options b noconf=1\n")
	put("etc/modprobe.d/z.alias", "options b alias=1\n")
	put("run/modprobe.d/50-b.conf", "options b run=1\n")
	put("run/modprobe.d/10-a.conf", "options b first=1\nwhat\n")
	put("usr/local/lib/modprobe.d/60-c.conf", "options b local=1\n")
	put("usr/lib/modprobe.d/masked.conf", "options b masked=1\n")
	put("usr/lib/modprobe.d/70-d.conf", "options b usr=1\n")
	put("usr/lib/modprobe.d/50-b.conf", "options b usr=1\n")
	link(t, "usr/lib", filepath.Join(root, "lib")) // merged /usr: nothing is read twice
	link(t, "/dev/null", filepath.Join(root, "etc/modprobe.d/masked.conf"))
	got := ReadModprobe(tree.At(root))
	want := Modprobe{
		Directives: []Directive{
			{at("/run/modprobe.d/10-a.conf", 1), "options", "b", "first=1"},
			{at("/etc/modprobe.d/50-b.conf", 1), "options", "b", "etc=1"},
			{at("/usr/local/lib/modprobe.d/60-c.conf", 1), "options", "b", "local=1"},
			{at("/usr/lib/modprobe.d/70-d.conf", 1), "options", "b", "usr=1"},
			{at("/etc/modprobe.d/z.alias", 1), "options", "b", "alias=1"},
		},
		Files: []string{
			"/run/modprobe.d/10-a.conf", "/etc/modprobe.d/50-b.conf", "/usr/local/lib/modprobe.d/60-c.conf",
			"/usr/lib/modprobe.d/70-d.conf", "/etc/modprobe.d/z.alias",
		},
		Hidden: map[string]string{
			"/run/modprobe.d/50-b.conf":       "/etc/modprobe.d/50-b.conf",
			"/usr/lib/modprobe.d/50-b.conf":   "/etc/modprobe.d/50-b.conf",
			"/usr/lib/modprobe.d/masked.conf": "/etc/modprobe.d/masked.conf",
		},
	}
	if diff := cmp.Diff([]string{`/run/modprobe.d/10-a.conf:2: unknown directive "what"`},
		texts(got.Troubles)); diff != "" {
		t.Errorf("troubles (-want +got):\n%s", diff)
	}
	got.Troubles = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("modprobe.d (-want +got):\n%s", diff)
	}
	var names []string
	for _, o := range got.Options("b") {
		names = append(names, o.Name)
	}
	if diff := cmp.Diff([]string{"first", "etc", "local", "usr", "alias"}, names); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

func link(t *testing.T, to, from string) {
	t.Helper()
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}

// No kind of file stops the others from being read, or blocks.
func TestReadModprobeBadFiles(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "etc/modprobe.d")
	kerneltree.Put(t, root, "etc/modprobe.d/big.conf", strings.Repeat("# 10 MB\n", 10<<20/8))
	kerneltree.Put(t, root, "etc/modprobe.d/binary.conf", "\x00\x01\x02")
	kerneltree.Put(t, root, "etc/modprobe.d/directory.conf/x.conf", "blacklist no\n")
	kerneltree.Put(t, root, "lib/modprobe.d/directory.conf", "blacklist below\n")
	kerneltree.Put(t, root, "lib/modprobe.d/z.conf", "blacklist last\n")
	link(t, "loop.conf", filepath.Join(dir, "loop.conf"))
	link(t, "/nowhere", filepath.Join(dir, "nowhere.conf"))
	kerneltree.Put(t, root, "outside", "blacklist outside\n")
	link(t, "../../../../../../../outside", filepath.Join(dir, "outside.conf"))
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.conf"), 0o644); err != nil {
		t.Fatal(err)
	}
	kerneltree.Put(t, root, "run/modprobe.d", "a file where a directory should be\n")
	got := ReadModprobe(tree.At(root))
	want := []string{
		"/etc/modprobe.d/directory.conf: cannot read: is a directory",
		"/run/modprobe.d: cannot open: not a directory",
		"/etc/modprobe.d/big.conf: cannot read: file too large",
		"/etc/modprobe.d/binary.conf: binary file",
		"/etc/modprobe.d/fifo.conf: cannot read: not a regular file",
		"/etc/modprobe.d/loop.conf: cannot open: too many levels of symbolic links",
		"/etc/modprobe.d/nowhere.conf: cannot open: no such file or directory",
	}
	if diff := cmp.Diff(want, texts(got.Troubles)); diff != "" {
		t.Errorf("troubles (-want +got):\n%s", diff)
	}
	var modules []string
	for _, d := range got.Directives {
		modules = append(modules, d.Module)
	}
	if diff := cmp.Diff([]string{"below", "outside", "last"}, modules); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestReadModprobeConf(t *testing.T) {
	root := t.TempDir()
	kerneltree.Put(t, root, "etc/modprobe.conf", "options a x=1\n")
	kerneltree.Put(t, root, "etc/modprobe.d/a.conf", "options a x=2\n")
	m := ReadModprobe(tree.At(root))
	if diff := cmp.Diff([]string{"/etc/modprobe.conf", "/etc/modprobe.d/a.conf"}, m.Files); diff != "" {
		t.Errorf("module-init-tools (-want +got):\n%s", diff)
	}
	kerneltree.Put(t, root, "usr/bin/kmod", "")
	m = ReadModprobe(tree.At(root))
	if diff := cmp.Diff([]string{"/etc/modprobe.d/a.conf"}, m.Files); diff != "" {
		t.Errorf("kmod (-want +got):\n%s", diff)
	}
	want := []string{"/etc/modprobe.conf: kmod does not read this file: it belongs in /etc/modprobe.d"}
	if diff := cmp.Diff(want, texts(m.Troubles)); diff != "" {
		t.Errorf("troubles (-want +got):\n%s", diff)
	}
}

func TestReadModprobeEmptyTree(t *testing.T) {
	m := ReadModprobe(tree.At(t.TempDir()))
	if diff := cmp.Diff(Modprobe{Hidden: map[string]string{}}, m); diff != "" {
		t.Errorf("modprobe.d (-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	text := "blacklist nf-conntrack\nblacklist nf_*\ninstall nf_* /bin/false\ninstall nf_conntrac[!x] /bin/true\n" +
		"install nf_conntrack_sip x\ninstall [ y\nalias x nf_conntrack\noptions nf_* a=1\n"
	directives, troubles := ParseModprobe("f", []byte(text))
	if troubles != nil {
		t.Fatal(troubles)
	}
	m := Modprobe{Directives: directives}
	for kind, want := range map[string]string{
		"blacklist": "[1]", "install": "[3 4]", "alias": "[7]", "options": "[]", "remove": "[]",
	} {
		lines := []int{}
		for _, d := range m.Find(kind, "nf-conntrack") {
			lines = append(lines, d.Line)
		}
		if got := fmt.Sprint(lines); got != want {
			t.Errorf("%s: lines %s, want %s", kind, got, want)
		}
	}
}

func TestBlockingInstalls(t *testing.T) {
	const install = "install nf_conntrack_sip "
	for _, test := range []struct {
		name, text, want string
	}{
		{"none", "blacklist nf_conntrack_sip\n", "[]"},
		{"another module", "install nf_conntrack_ftp /bin/false\n", "[]"},
		{"false", install + "/bin/false\n", "[1]"},
		{"true", install + "true # not here\n", "[1]"},
		{"a shell that fails", install + "/bin/sh -c 'exit 1'\n", "[1]"},
		{"a pattern", "install nf-conntrack_* :\n", "[1]"},
		{"a name that only looks like modprobe", install + "/opt/no-modprobe.sh\n", "[1]"},
		{"modprobe", install + "/sbin/modprobe -i nf_conntrack_sip\n", "[]"},
		{"insmod", install + "insmod /x.ko\n", "[]"},
		{"modprobe in a shell", install + `/bin/sh -c "sysctl -w a=1;$(modprobe -i nf_conntrack_sip)"` + "\n", "[]"},
		{"two lines", install + "/bin/false\n" + install + "/bin/true\n", "[1 2]"},
		{"one that loads behind one that does not",
			install + "/bin/false\n" + install + "modprobe -i nf_conntrack_sip\n", "[1]"},
		{"one that loads, first", install + "modprobe -i nf_conntrack_sip\n" + install + "/bin/false\n", "[]"},
	} {
		directives, _ := ParseModprobe("f", []byte(test.text))
		lines := []int{}
		for _, d := range (Modprobe{Directives: directives}).BlockingInstalls("nf_conntrack_sip") {
			lines = append(lines, d.Line)
		}
		if got := fmt.Sprint(lines); got != test.want {
			t.Errorf("%s: lines %s, want %s", test.name, got, test.want)
		}
	}
}

func TestOptions(t *testing.T) {
	directives, _ := ParseModprobe("f", []byte(
		"options nf-conntrack hashsize=1 \"expect_hashsize=2\"\noptions other x=1\n"+
			"options nf_conntrack acct  tstamp=\"1 2\" \"quoted name=a b\" expect-hashsize=4 =x empty= open=\"a b\n"))
	want := []Option{
		{at("f", 1), "hashsize", "1", false},
		{at("f", 1), "expect_hashsize", "2", false},
		{at("f", 3), "acct", "", true},
		{at("f", 3), "tstamp", "1 2", false},
		{at("f", 3), "quoted name", "a b", false},
		{at("f", 3), "expect_hashsize", "4", false},
		{at("f", 3), "=x", "", true},
		{at("f", 3), "empty", "", false},
		{at("f", 3), "open", "a b", false},
	}
	if diff := cmp.Diff(want, Modprobe{Directives: directives}.Options("nf_conntrack")); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}
