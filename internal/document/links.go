package document

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// A Span is a piece of a line's text.
type Span struct {
	Line int
	Text string
}

var (
	codeSpan = regexp.MustCompile("(?:^|[^`])`([^`]+)`")
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	image    = regexp.MustCompile(`<img [^>]*src="([^"]+)"`)
	heading  = regexp.MustCompile(`^#{1,6} +(.*?)[ #]*$`)
	named    = regexp.MustCompile(`<a (?:name|id)="([^"]+)">`)
	target   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// Code returns the inline code of a document, each with its white space made one blank.
func (d *Document) Code() []Span {
	spans := d.find(codeSpan)
	for i := range spans {
		spans[i].Text = strings.Join(strings.Fields(spans[i].Text), " ")
	}
	return spans
}

// Links returns the targets of a document's links and images.
func (d *Document) Links() []Span { return append(d.find(link), d.find(image)...) }

// find returns what the first group of a pattern matches in a document's paragraphs.
func (d *Document) find(pattern *regexp.Regexp) (found []Span) {
	first := 0
	text := d.prose()
	for i, line := range append(slices.Clone(text), "") {
		if strings.TrimSpace(line) != "" {
			continue
		}
		paragraph := strings.Join(text[first:i], "\n")
		for _, at := range pattern.FindAllStringSubmatchIndex(paragraph, -1) {
			number := first + 1 + strings.Count(paragraph[:at[2]], "\n")
			found = append(found, Span{number, paragraph[at[2]:at[3]]})
		}
		first = i + 1
	}
	return found
}

// prose returns the lines of a document, with those of its blocks empty.
func (d *Document) prose() []string {
	lines := slices.Clone(d.lines)
	for _, b := range d.Blocks {
		clear(lines[b.Line-1 : min(b.Line+len(b.Lines)+1, len(lines))])
	}
	return lines
}

// Anchors returns the anchors of a document: those with a name, and those that GitHub makes of headings.
func (d *Document) Anchors() []string {
	var anchors []string
	count := map[string]int{}
	for _, line := range d.prose() {
		if found := heading.FindStringSubmatch(line); found != nil {
			anchor := slug(found[1])
			if count[anchor]++; count[anchor] > 1 {
				continue // GitHub numbers the others; a link to one would break when headings move
			}
			anchors = append(anchors, anchor)
		}
		for _, found := range named.FindAllStringSubmatch(line, -1) {
			anchors = append(anchors, found[1])
		}
	}
	return anchors
}

// slug returns the anchor that GitHub makes of a heading: letters, digits, hyphens and underscores in lower case,
// with hyphens for blanks.
func slug(heading string) string {
	heading = target.ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// BrokenLinks returns the links of a document to files and anchors that do not exist.
func (d *Document) BrokenLinks() ([]Span, error) {
	var broken []Span
	for _, l := range d.Links() {
		if strings.Contains(l.Text, "://") || strings.HasPrefix(l.Text, "mailto:") {
			continue
		}
		path, anchor, hasAnchor := strings.Cut(l.Text, "#")
		other := d
		if path != "" {
			file := filepath.Join(filepath.Dir(d.File), path)
			if _, err := os.Stat(file); err != nil {
				broken = append(broken, l)
				continue
			}
			if !hasAnchor {
				continue
			}
			var err error
			if other, err = Read(file); err != nil {
				return nil, err
			}
		}
		if !slices.Contains(other.Anchors(), anchor) {
			broken = append(broken, l)
		}
	}
	return broken, nil
}
