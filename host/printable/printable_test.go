package printable

import (
	"strings"
	"testing"
	"unicode"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain ~": "plain ~", "é → 漢": "é → 漢", "a\tb\nc\rd": `a b\nc\rd`,
		"a\u0085b\u2028c\u00a0d": `a\u0085b\u2028c\u00a0d`,
		"\x1b[31mred\x07":        `\x1b[31mred\a`, "a\u202eb\u200bc": `a\u202eb\u200bc`, "\x7f\x00": `\x7f\x00`,
		"\xff\xc3": `\xff\xc3`, "\ufffd": `\ufffd`, "\U000e0001": `\U000e0001`,
	} {
		if got := Line(text); got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
	}
	if got, want := Lines("a\x1b\n\tb\n"), `a\x1b`+"\n b\n"; got != want {
		t.Errorf("Lines = %q, want %q", got, want)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("\x1b]0;t\x07\u202e\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := Line(text)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
			t.Errorf("Line(%q) = %q", text, got)
		}
		if Line(got) != got {
			t.Errorf("Line changes %q", got)
		}
	})
}
