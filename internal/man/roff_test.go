package man

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarkdown(t *testing.T) {
	tests := []struct{ name, markdown, want string }{
		{"fonts and characters", "Run `ctkeeper run --show`, **now**, in *mode* `a\\b` – or kube-proxy's --flag.",
			".PP\nRun \\fBctkeeper run \\-\\-show\\fR, \\fBnow\\fR, in \\fImode\\fR \\fBa\\eb\\fR \\[u2013] or\n" +
				"kube-proxy's \\-\\-flag.\n"},
		{"a line is no request", strings.Repeat("a", 78) + " .so x",
			".PP\n" + strings.Repeat("a", 78) + "\n\\&.so x\n"},
		{"headings", "# a\n\n## b c\n\n### d", ".SH A\n.SH B C\n.SS d\n"},
		{"code",
			"```console\n$ echo '.x' ~\n.x\n```\n",
			".PP\n.RS 4\n.nf\n$ echo \\(aq.x\\(aq \\(ti\n\\&.x\n.fi\n.RE\n"},
		{"lists", "- a\n\n  b\n- c\n\n3. d\n", ".IP \\(bu 2\na\n.RS\n.PP\nb\n.RE\n.IP \\(bu 2\nc\n.IP 3. 3\nd\n"},
		{"links", "See [guard.md](../docs/guard.md#x), [metrics.md](metrics.md) and [this](other.md).",
			".PP\nSee \\fBctkeeper\\-guard(7)\\fR, \\fI/usr/share/doc/ctkeeper/metrics.md\\fR and this.\n"},
		{"comments", "<!-- host: vm -->\n\ntext", ".PP\ntext\n"},
		{"a table", "| a | b | c |\n|---|---|---|\n| 1 | 2 | 3 |\n| | 4 | |\n", ".TP\n1\nb: 2; c: 3\n.TP\n1\nb: 4\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Markdown(test.markdown)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestSynopsis(t *testing.T) {
	const want = ".PP\n\\fBctkeeper\\fR \\fBconfig\\fR \\fBcheck\\fR [\\fIFILE\\fR...]\n"
	if diff := cmp.Diff(want, Synopsis("ctkeeper config check [FILE...]")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
