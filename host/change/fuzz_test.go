package change_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/ctkeeper/ctkeeper/host/change"
)

// FuzzRender holds the text of a command and of a file to the words that the step has: a shell that reads the
// text runs the program with exactly these arguments.
func FuzzRender(f *testing.F) {
	for _, bad := range []string{
		"", " ", "a", ";b", "$(b)", "`b`", "|b", "&b", "'", `"`, `\`, "'; b; '", "a\nb", "\ra", "\x1b[31m", "\u202eb",
		"\xff\xfe", "\u2028", "${b}", "<(b)", "#b", "-n", "--", "~", "*", "{a,b}", "!b", "a=b", "%s%n",
		"\\012", "\t", "if",
	} {
		f.Add(bad, "word")
		f.Add("word", bad)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		if strings.Contains(first+second, "\x00") {
			return // no argument of a program has one
		}
		if strings.HasSuffix(first, "\n") || strings.HasSuffix(second, "\n") {
			return // a shell takes the newlines at the end of $(printf …) away
		}
		argv := []string{"program", first, second}
		hold(t, argv, change.Render([]change.Step{change.Run(argv...)}, "  "))
	})
}

// hold parses lines of shell text, and compares the words of the only command that they have.
func hold(t *testing.T, argv, lines []string) {
	t.Helper()
	text := strings.Join(lines, "\n")
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), "")
	if err != nil {
		t.Fatalf("%q is no command: %v", text, err)
	}
	if len(file.Stmts) != 1 {
		t.Fatalf("%q is %d commands, want 1", text, len(file.Stmts))
	}
	call, isCall := file.Stmts[0].Cmd.(*syntax.CallExpr)
	if !isCall || len(call.Assigns) > 0 || len(file.Stmts[0].Redirs) > 0 || file.Stmts[0].Background {
		t.Fatalf("%q is no simple command", text)
	}
	var words []string
	for _, word := range call.Args {
		words = append(words, wordText(t, text, word.Parts))
	}
	if diff := cmp.Diff(argv, words); diff != "" {
		t.Errorf("words of %q (-want +got):\n%s", text, diff)
	}
	for _, r := range text {
		if r != '\n' && !change.IsPlain(string(r)) {
			t.Errorf("%q has %q", text, r)
		}
	}
}

var (
	escapes = regexp.MustCompile(`\\[0-7]{3}`)
	// literal matches a word in which a shell finds nothing to expand. ~ and a keyword would be.
	literal = regexp.MustCompile(`^[A-Za-z0-9@%+=:,./_-]+$`)
)

// wordText returns what a shell makes of a word. The only expansion is "$(printf 'TEXT')", which loses the
// newlines at the end.
func wordText(t *testing.T, text string, parts []syntax.WordPart) string {
	t.Helper()
	var b strings.Builder
	for _, part := range parts {
		switch part := part.(type) {
		case *syntax.Lit:
			if value := strings.ReplaceAll(part.Value, `\'`, "'"); value != "'" && !literal.MatchString(value) {
				t.Errorf("%q has %q without quotes", text, part.Value)
			}
			b.WriteString(strings.ReplaceAll(part.Value, `\'`, "'"))
		case *syntax.SglQuoted:
			b.WriteString(part.Value)
		case *syntax.DblQuoted:
			b.WriteString(wordText(t, text, part.Parts))
		case *syntax.CmdSubst:
			call, isCall := part.Stmts[0].Cmd.(*syntax.CallExpr)
			if !isCall || len(call.Args) != 2 || call.Args[0].Lit() != "printf" {
				t.Fatalf("%q expands a command", text)
			}
			format := wordText(t, text, call.Args[1].Parts)
			printed := escapes.ReplaceAllStringFunc(format, func(escape string) string {
				code, err := strconv.ParseUint(escape[1:], 8, 8)
				if err != nil {
					t.Fatal(err)
				}
				return string([]byte{byte(code)})
			})
			b.WriteString(strings.TrimRight(printed, "\n"))
		default:
			t.Fatalf("%q has an expansion: %T", text, part)
		}
	}
	return b.String()
}
