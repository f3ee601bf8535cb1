package inventory

import (
	"strings"
	"testing"
)

func FuzzSysctl(f *testing.F) {
	for _, seed := range []string{
		"", "a.b/c=1", "-net.netfilter.nf_conntrack_*", "# c\n; c\n\n net/x = a = b \r\nwords\n=\n-=",
		"a.b = \xff\n", "/net/x=1\n//=", "[", ".=..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines, troubles := parseSysctl("f", text)
		last := 0
		for _, line := range lines {
			if line.Line <= last || line.Line > 1+strings.Count(text, "\n") {
				t.Fatalf("line %d after line %d of %q", line.Line, last, text)
			}
			last = line.Line
			if line.key == "" || line.bare && (line.value != "" || !line.dash) || !strings.Contains(text, line.key) {
				t.Errorf("line %d of %q is %+v", line.Line, text, line)
			}
		}
		written := 0
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line[0] != ';' {
				written++
			}
		}
		if written != len(lines)+len(troubles) {
			t.Errorf("%d lines and %d troubles of %d lines in %q", len(lines), len(troubles), written, text)
		}
	})
}

func FuzzShell(f *testing.F) {
	for _, seed := range []string{
		"", "a b;c|d&&e||f&g", "echo 1 >/proc/x 2>&1 # c", "a 'b c' \"d \\\" $e\" f\\\ng",
		"x=${A:-1} y=$(b c) z=`d`", "if a; then b; fi", "a >", "a 2>", "'", "\\", "${", "a>b>c", "&>x", "$(", "`",
		"f() { f; f; }; f", "a=x; for i in $a $a; do a+=$a$a; done; b $a", "[[ ! a == b* || -n $1 ]] && exit; c",
		"case $a in x|*) shift; return;; esac; cat <<E\n$a\nE\n",
		"a=b; (a=c; exit); d ${a:-x}; while read e; do f; done",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		commands := parseShell(text)
		if len(commands) > maxSteps {
			t.Errorf("%d commands of %q", len(commands), text)
		}
		for _, c := range commands {
			if c.line < 1 || c.line > 1+strings.Count(text, "\n") {
				t.Fatalf("command %+v is not in %q", c, text)
			}
			for _, word := range append(c.words, c.file, c.input) {
				if len(word) > max(maxWord, len(text)) {
					t.Errorf("a word of %d bytes of %q", len(word), text)
				}
			}
			c.program()
		}
	})
}

func FuzzINI(f *testing.F) {
	for _, seed := range []string{"", "[a]\nb=c # d\n;e\nf", "[", "[]", "]=[", "a = ${b} #", "=\n", "[a] b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		pairs, troubles := parseINI("f", text)
		if len(pairs)+len(troubles) > 1+strings.Count(text, "\n") {
			t.Errorf("%d pairs and %d troubles in %q", len(pairs), len(troubles), text)
		}
		for _, p := range pairs {
			if p.name == "" || !strings.Contains(text, p.value) {
				t.Errorf("pair %+v in %q", p, text)
			}
		}
	})
}

func FuzzUdev(f *testing.F) {
	for _, seed := range []string{
		"", `ACTION=="add", KERNEL=="nf_conntrack", RUN+="/bin/sh -c 'x > y'"`, `SYSCTL{a/b}="1"`, `A{`, `A}{="`,
		`A="\"`, `A=e"x" B=i"y"`, `=`, `RUN{program}+="a",,`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		terms, ok := parseUdev(text)
		for _, term := range terms {
			if term.key == "" {
				t.Errorf("a term without a key in %q: %+v", text, term)
			}
			commandText(term.value)
		}
		if again, still := parseUdev(text + " "); still != ok || len(again) != len(terms) {
			t.Errorf("%q reads differently with a space after it", text)
		}
		matchesModule(terms, "nf_conntrack")
	})
}
