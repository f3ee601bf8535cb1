package text

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// Formats are the values of --output.
func Formats() []string { return []string{"table", "json", "yaml"} }

// Known reports whether format is one of Formats.
func Known(format string) bool { return slices.Contains(Formats(), format) }

// Printer writes documents in one format. Tables go through a buffer first, whose writes cannot fail.
type Printer struct {
	Out io.Writer
	// Format is one of Formats.
	Format string
	// Colour is true where Out is a terminal that has colours.
	Colour bool
	// Zone is the time zone of the times in tables; nil is the local one.
	Zone *time.Location
	// Now is the present time; zero reads the clock.
	Now time.Time
}

// at formats a time in the printer's zone.
func (p Printer) at(t time.Time, layout string) string {
	zone := cmp.Or(p.Zone, time.Local)
	return t.In(zone).Format(layout)
}

// Document writes doc as JSON or YAML, or calls table for people.
func (p Printer) Document(doc any, table func(io.Writer)) error {
	switch p.Format {
	case "json":
		return p.json(doc)
	case "yaml":
		return p.yaml(doc)
	}
	var buf bytes.Buffer
	table(&buf)
	_, err := p.Out.Write(buf.Bytes())
	return err
}

// Line writes one of many documents: a line of JSON, a document of YAML, or text.
func (p Printer) Line(doc any, text string) error {
	var err error
	switch p.Format {
	case "json":
		encoder := json.NewEncoder(p.Out)
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(doc)
	case "yaml":
		if _, err = io.WriteString(p.Out, "---\n"); err == nil {
			err = p.yaml(doc)
		}
	default:
		_, err = io.WriteString(p.Out, text+"\n")
	}
	return err
}

func (p Printer) json(doc any) error {
	encoder := json.NewEncoder(p.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

// yaml encodes doc as JSON, which is YAML, and restyles it: keys and their order are then those of the JSON.
func (p Printer) yaml(doc any) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("cannot encode the document: %w", err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(escapeForYAML(text), &node); err != nil {
		return fmt.Errorf("cannot encode the document: %w", err)
	}
	useBlockStyle(&node)
	encoder := yaml.NewEncoder(p.Out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

// escapeForYAML escapes the characters that JSON allows as they are and YAML does not.
func escapeForYAML(text []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(text) {
		if unicode.IsControl(r) || r == 0xfeff || r == 0xfffe || r == 0xffff {
			_, _ = fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// useBlockStyle removes the braces and quotes of JSON. Words that YAML 1.1 reads as true or false stay quoted: off
// is a mode.
func useBlockStyle(n *yaml.Node) {
	isBool := slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(n.Value))
	if (len(n.Content) > 0 || n.Kind == yaml.ScalarNode) && !isBool {
		n.Style = 0
	}
	for _, child := range n.Content {
		useBlockStyle(child)
	}
}

const (
	// maxWidth is the width of a table. Where its cells need more, the last two columns are cut first.
	maxWidth = 100
	// minLast is the width to which the last two columns are cut before the others.
	minLast = 16
)

// columns writes rows, the header first, in columns of maxWidth in all. White space inside a cell, as some sysctls
// have it, becomes one space.
func columns(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, cell := range cells {
			cells[i] = printable.Line(strings.Join(strings.Fields(cell), " "))
			widths[i] = max(widths[i], ansi.StringWidth(cells[i]))
		}
	}
	const gap = 2
	total := gap * (len(widths) - 1)
	for _, width := range widths {
		total += width
	}
	for ; total > maxWidth; total-- {
		cut := widths[len(widths)-2:]
		if slices.Max(cut) <= minLast {
			cut = widths
		}
		cut[slices.Index(cut, slices.Max(cut))]--
	}
	for _, cells := range rows {
		line := ""
		for i, cell := range cells {
			if excess := ansi.StringWidth(cell) - widths[i]; excess > 0 && i == len(cells)-1 {
				// A path ends with what is most specific.
				cell = ansi.TruncateLeft(cell, excess+1, "…")
			}
			cell = ansi.Truncate(cell, widths[i], "…")
			line += cell + strings.Repeat(" ", widths[i]-ansi.StringWidth(cell)+gap)
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// printLine writes one line that is safe for a terminal, whatever its arguments hold.
func printLine(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintln(w, printable.Line(fmt.Sprintf(format, args...)))
}

const (
	reset  = sgr.Reset
	green  = sgr.Green
	yellow = sgr.Yellow
	red    = sgr.Red
)

// paint colours the words of states in an aligned table. Before the aligning, the colours would count as width.
func (p Printer) paint(table string, colours map[string]string) string {
	if !p.Colour {
		return table
	}
	for word, colour := range colours {
		table = strings.ReplaceAll(table, " "+word+" ", " "+colour+word+reset+" ")
	}
	return table
}
