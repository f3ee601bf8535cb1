package man

import (
	"fmt"
	"strings"
)

// sourceWidth is the width of text lines in the source of a page.
const sourceWidth = 80

// escape returns text that roff shows as it stands. A "-" is a hyphen, where a line may end, but in words that people
// type: --flag, file.conf, page(8).
func escape(text string) string {
	words := strings.Split(text, " ")
	for i, word := range words {
		words[i] = escapeText(word, strings.HasPrefix(word, "-") || strings.ContainsAny(word, "/_=("))
	}
	return strings.Join(words, " ")
}

// escapeCode is escape for what people type: ASCII characters stay what they are, where a typesetter would have
// others: minus and hyphen, straight and curly quotes (groff_char(7)).
func escapeCode(text string) string { return escapeText(text, true) }

func escapeText(text string, code bool) string {
	literal := map[rune]string{'-': `\-`, '\'': `\(aq`, '`': `\(ga`, '^': `\(ha`, '~': `\(ti`}
	var b strings.Builder
	for _, r := range text {
		switch name, isLiteral := literal[r]; {
		case r == '\\':
			b.WriteString(`\e`)
		case code && isLiteral:
			b.WriteString(name)
		case r > 0x7e:
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Bold and Italic return escaped text in a font.
func Bold(text string) string   { return `\fB` + escapeCode(text) + `\fR` }
func Italic(text string) string { return `\fI` + escapeCode(text) + `\fR` }

// fill breaks escaped text into lines. A word that would be a request at the start of a line gets a zero-width
// character before it.
func fill(text string) string {
	var b strings.Builder
	column := 0
	for _, word := range strings.Fields(text) {
		switch {
		case column > 0 && column+1+len(word) > sourceWidth:
			b.WriteString("\n")
			column = 0
		case column > 0:
			b.WriteString(" ")
			column++
		}
		if column == 0 && strings.ContainsAny(word[:1], ".'") {
			word = `\&` + word
		}
		b.WriteString(word)
		column += len(word)
	}
	if column > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

// Tagged returns an item of a list: a tag in roff, and what it means in Markdown.
func Tagged(tag, markdown string) string {
	return ".TP\n" + tag + "\n" + strings.TrimPrefix(Markdown(markdown), ".PP\n")
}

// Example returns text as it stands, indented.
func Example(text string) string {
	var b strings.Builder
	b.WriteString(".PP\n.RS 4\n.nf\n")
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		line = escapeCode(line)
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, `\(aq`) {
			line = `\&` + line
		}
		b.WriteString(line + "\n")
	}
	b.WriteString(".fi\n.RE\n")
	return b.String()
}

// Synopsis returns how a command is called: words in capitals are what the user replaces.
func Synopsis(usage string) string {
	words := strings.Fields(usage)
	for i, word := range words {
		if name := strings.Trim(word, "[]. "); name != "" && name == strings.ToUpper(name) {
			words[i] = strings.Replace(escape(word), name, Italic(name), 1)
		} else {
			words[i] = Bold(word)
		}
	}
	return ".PP\n" + strings.Join(words, " ") + "\n"
}

// SeeAlso returns references to other pages, such as ctkeeper(8).
func SeeAlso(pages ...string) string {
	var b strings.Builder
	b.WriteString(".PP\n")
	for i, page := range pages {
		name, section, _ := strings.Cut(page, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		fmt.Fprintf(&b, ".BR %s (%s%s\n", escapeCode(name), section, end)
	}
	return b.String()
}
