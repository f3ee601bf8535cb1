package text

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// Formats are the values of --output.
func Formats() []string { return []string{"table", "json", "yaml"} }

// Known reports whether format is one of Formats.
func Known(format string) bool { return slices.Contains(Formats(), format) }

// Printer writes documents in one format.
type Printer struct {
	Out io.Writer
	// Format is one of Formats.
	Format string
	// Colour says that Out is a terminal which takes it.
	Colour bool
	// Zone is the time zone of the times that people read; nil is the local one.
	Zone *time.Location
	// Now is when it is; the zero time asks the clock.
	Now time.Time
}

// at is a time in the printer's zone.
func (p Printer) at(t time.Time, layout string) string {
	zone := p.Zone
	if zone == nil {
		zone = time.Local
	}
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

// yaml goes through JSON, which is YAML: names and order are then the same.
func (p Printer) yaml(doc any) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("cannot write the document: %w", err)
	}
	var node yaml.Node
	if err := yaml.Unmarshal(printable(text), &node); err != nil {
		return fmt.Errorf("cannot write the document: %w", err)
	}
	block(&node)
	encoder := yaml.NewEncoder(p.Out)
	encoder.SetIndent(2)
	if err := encoder.Encode(&node); err != nil {
		return err
	}
	return encoder.Close()
}

// printable escapes what JSON may hold as it is and YAML may not.
func printable(text []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(text) {
		if unicode.IsControl(r) || r == 0xfeff || r == 0xfffe || r == 0xffff {
			_, _ = fmt.Fprintf(&out, `\u%04x`, r) // a buffer takes everything
		} else {
			out.WriteRune(r)
		}
	}
	return out.Bytes()
}

// block takes the braces and quotes of JSON off, but for words that readers of YAML 1.1 take
// for true or false: off is a mode.
func block(n *yaml.Node) {
	if (len(n.Content) > 0 || n.Kind == yaml.ScalarNode) && !slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(n.Value)) {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}

// columns aligns rows of tab-separated cells.
func columns(w io.Writer, header string, rows []string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([]string{header}, rows...) {
		_, _ = fmt.Fprintln(tw, row) // a buffer takes everything
	}
	_ = tw.Flush()
}

// row joins cells. White space in them, as in the values of some sysctls, is a
// space: tabs and ends of lines are what sets the cells apart.
func row(cells ...string) string {
	for i, cell := range cells {
		cells[i] = visible(strings.Join(strings.Fields(cell), " "))
	}
	return strings.Join(cells, "\t")
}

// sayLine writes one line, whatever a host's text in it holds.
func sayLine(w io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintln(w, visible(fmt.Sprintf(format, args...))) // a buffer takes everything
}

const (
	reset  = "\x1b[0m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	red    = "\x1b[31m"
)

// paint colours the words of states in an aligned table: after the aligning, so
// that the colours take no width.
func (p Printer) paint(table string, colours map[string]string) string {
	if !p.Colour {
		return table
	}
	for word, colour := range colours {
		table = strings.ReplaceAll(table, " "+word+" ", " "+colour+word+reset+" ")
	}
	return table
}
