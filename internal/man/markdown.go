package man

import (
	"fmt"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// pages are the documents that are man pages too.
var pages = map[string]string{
	"configuration.md": "ctkeeper.yaml(5)",
	"guard.md":         "ctkeeper-guard(7)",
}

// Markdown returns Markdown as roff. Headings become sections; a table becomes a list, with a line for each row,
// because its cells are wider than a terminal.
func Markdown(source string) string {
	c := &converter{source: []byte(source)}
	document := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(c.source))
	return c.blocks(document)
}

type converter struct{ source []byte }

// blocks returns the blocks in a node.
func (c *converter) blocks(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		b.WriteString(c.block(n))
	}
	return b.String()
}

func (c *converter) block(n ast.Node) string {
	switch n := n.(type) {
	case *ast.Heading:
		if n.Level <= 2 {
			return ".SH " + strings.ToUpper(escape(c.plain(n))) + "\n"
		}
		return ".SS " + escape(c.plain(n)) + "\n"
	case *ast.Paragraph, *ast.TextBlock:
		return ".PP\n" + fill(c.inline(n))
	case *ast.FencedCodeBlock, *ast.CodeBlock:
		return Example(string(n.Lines().Value(c.source)))
	case *ast.List:
		return c.list(n)
	case *extast.Table:
		return c.table(n)
	case *ast.HTMLBlock: // a comment that steers the tests of documents
		return ""
	}
	panic(fmt.Sprintf("no roff for a %s", n.Kind()))
}

func (c *converter) list(n *ast.List) string {
	var b strings.Builder
	number := n.Start
	for item := n.FirstChild(); item != nil; item = item.NextSibling() {
		tag := `\(bu 2`
		if n.IsOrdered() {
			tag = fmt.Sprintf("%d. 3", number)
			number++
		}
		first := item.FirstChild()
		b.WriteString(".IP " + tag + "\n" + strings.TrimPrefix(c.block(first), ".PP\n"))
		if first.NextSibling() != nil {
			b.WriteString(".RS\n")
			for rest := first.NextSibling(); rest != nil; rest = rest.NextSibling() {
				b.WriteString(c.block(rest))
			}
			b.WriteString(".RE\n")
		}
	}
	return b.String()
}

// table returns a list with an item for each row. The tag is the first cell, or that of the row before; the others
// follow their headers.
func (c *converter) table(n *extast.Table) string {
	var b strings.Builder
	var headers []string
	tag := ""
	for row := n.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for cell := row.FirstChild(); cell != nil; cell = cell.NextSibling() {
			cells = append(cells, strings.TrimSpace(c.inline(cell)))
		}
		if _, isHeader := row.(*extast.TableHeader); isHeader {
			headers = cells
			continue
		}
		if cells[0] != "" {
			tag = cells[0]
		}
		var parts []string
		for i, cell := range cells[1:] {
			switch header := headers[i+1]; {
			case cell == "":
			case len(cells) == 2 || header == "" || header == "description":
				parts = append(parts, cell)
			default:
				parts = append(parts, header+": "+cell)
			}
		}
		b.WriteString(".TP\n" + tag + "\n")
		if text := strings.Join(parts, "; "); len(text) <= 2*sourceWidth {
			b.WriteString(fill(text))
			continue
		}
		for i, part := range parts {
			if i > 0 {
				b.WriteString(".br\n")
			}
			b.WriteString(fill(part))
		}
	}
	return b.String()
}

// inline returns the text in a node, escaped and with fonts.
func (c *converter) inline(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			b.WriteString(escape(string(n.Segment.Value(c.source))))
			if n.SoftLineBreak() {
				b.WriteString(" ")
			}
		case *ast.CodeSpan:
			b.WriteString(Bold(c.plain(n)))
		case *ast.Emphasis:
			font := `\fI`
			if n.Level == 2 {
				font = `\fB`
			}
			b.WriteString(font + c.inline(n) + `\fR`)
		case *ast.Link:
			b.WriteString(c.link(n))
		case *ast.AutoLink:
			b.WriteString(escapeCode(string(n.URL(c.source))))
		default:
			panic(fmt.Sprintf("no roff for a %s", n.Kind()))
		}
	}
	return b.String()
}

// link returns the text of a link, or the page that it leads to if the text is the name of a document.
func (c *converter) link(n *ast.Link) string {
	file, _, _ := strings.Cut(string(n.Destination), "#")
	name := c.plain(n)
	switch page := pages[path.Base(file)]; {
	case path.Base(file) != name:
		return c.inline(n)
	case page != "":
		return Bold(page)
	}
	return Italic("/usr/share/doc/ctkeeper/" + name)
}

// plain returns the text in a node without fonts, not escaped.
func (c *converter) plain(parent ast.Node) string {
	var b strings.Builder
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		if t, isText := n.(*ast.Text); isText {
			b.Write(t.Segment.Value(c.source))
		} else {
			b.WriteString(c.plain(n))
		}
	}
	return b.String()
}
