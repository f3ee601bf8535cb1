package term

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/ui/sgr"
)

// Colours: SGR sequences of ECMA-48, which every terminal with colours has.
const (
	plain  = ""
	faint  = sgr.Faint
	bold   = sgr.Bold
	red    = sgr.Red
	green  = sgr.Green
	yellow = sgr.Yellow
	reset  = sgr.Reset
)

// span is a piece of a line in one colour.
type span struct{ text, colour string }

// line is a line of the screen. Its text may be hostile; drawing escapes it.
type line []span

func plainLine(text string) line { return line{{text, plain}} }

// style is what the terminal can show.
type style struct{ colour, ascii bool }

// draw renders a line in at most width columns.
func (s style) draw(l line, width int) string {
	var out strings.Builder
	for _, part := range l {
		text := s.fit(part.text, width)
		width -= ansi.StringWidth(text)
		if s.colour && part.colour != plain && text != "" {
			text = part.colour + text + reset
		}
		out.WriteString(text)
	}
	return strings.TrimRight(out.String(), " ")
}

// fit cleans a text and cuts it to at most width columns.
func (s style) fit(text string, width int) string {
	tail := "…"
	if s.ascii {
		tail = "~"
	}
	return ansi.Truncate(s.clean(text), max(width, 0), tail)
}

// pad fits a text into exactly width columns.
func (s style) pad(text string, width int) string {
	text = s.fit(text, width)
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// clean returns a text that is safe for a terminal, without other characters than ASCII's where those are not shown.
func (s style) clean(text string) string {
	text = printable.Line(text)
	if !s.ascii {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'µ': // of time.Duration
			return 'u'
		case r >= utf8.RuneSelf:
			return '?'
		}
		return r
	}, text)
}

// column is a column of a table, as wide as its widest cell within min and max.
type column struct {
	title    string
	min, max int
	// rank orders the columns on a narrow screen: the highest gets its width first and is dropped last.
	rank int
	// cell and colour return the text of a row and its colour; nil is plain.
	cell   func(row int) string
	colour func(row int) string
}

// gap is the space between two columns of a table.
const gap = 2

// grid returns the columns of a table that fit on the screen, and their widths. Two always stay; the first shrinks as
// far as needed.
func (s style) grid(columns []column, rows, width int) ([]column, []int) {
	wanted := make([]int, len(columns))
	for i, c := range columns {
		wanted[i] = ansi.StringWidth(c.title)
		for row := range rows {
			wanted[i] = max(wanted[i], ansi.StringWidth(s.clean(c.cell(row))))
		}
		wanted[i] = min(wanted[i], c.max)
	}
	byRank := make([]int, len(columns)) // indices of the columns that stay
	for i := range byRank {
		byRank[i] = i
	}
	slices.SortFunc(byRank, func(a, b int) int { return columns[b].rank - columns[a].rank })
	widths, left := make([]int, len(columns)), width+gap
	for n, i := range byRank {
		widths[i] = min(wanted[i], columns[i].min)
		if left -= widths[i] + gap; left < 0 && n >= 2 {
			left += widths[i] + gap
			byRank = byRank[:n]
			break
		}
	}
	for _, i := range byRank {
		more := max(min(wanted[i]-widths[i], left), 0)
		widths[i] += more
		left -= more
	}
	slices.Sort(byRank)
	var stay []column
	var wide []int
	for _, i := range byRank {
		stay, wide = append(stay, columns[i]), append(wide, widths[i])
	}
	wide[0] = max(wide[0]+min(left, 0), 1)
	return stay, wide
}
