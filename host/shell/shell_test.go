package shell

import (
	"os/exec"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// hostile is text as no file should be called, and may be.
func hostile() []string {
	return []string{
		"/etc/plain-1.2_3.conf", "", "a b", "it's", `"`, `\`, "$(reboot)", "`reboot`", "a;b|c&d>e<f",
		"*?[a]{b,c}~!#", "-n", "-\x01", "%s%%", "ä", "a\nb", "\t",
		"\x1b[2J", "\x7f", "\xff\xfe", "\u202e", "\u00a0", "'\x01'", "'''", `'\''`,
	}
}

// The shell makes of a quoted word what it was, and no word of it harms a terminal.
func TestQuote(t *testing.T) {
	for _, text := range hostile() {
		quoted := Quote(text)
		out, err := exec.Command("sh", "-c", "printf %s "+quoted).Output()
		if diff := cmp.Diff(text, string(out)); err != nil || diff != "" {
			t.Errorf("%q as %s: %v (-want +got):\n%s", text, quoted, err, diff)
		}
		if strings.ContainsFunc(quoted, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("%q has control characters", quoted)
		}
	}
	for text, want := range map[string]string{
		"/etc/x.conf": "/etc/x.conf", "a b": "'a b'", "it's": `'it'\''s'`, "": "''",
	} {
		if got := Quote(text); got != want {
			t.Errorf("%q is quoted as %s, want %s", text, got, want)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, text := range hostile() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsRune(text, 0) || strings.HasSuffix(text, "\n") {
			t.Skip("no word of a command line, or cut by the shell's $()")
		}
		out, err := exec.Command("sh", "-c", "printf %s "+Quote(text)).Output()
		if err != nil || string(out) != text {
			t.Errorf("%q as %s gives %q (%v)", text, Quote(text), out, err)
		}
	})
}
