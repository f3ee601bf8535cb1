package term

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Colours of ECMA-48's SGR, which every terminal with colours has.
const (
	plain  = ""
	faint  = "\x1b[2m"
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	reset  = "\x1b[0m"
)

// span is a piece of a line in one colour.
type span struct{ text, colour string }

// line is a line of the screen. Its text may come from anywhere: it is made
// harmless when it is drawn.
type line []span

func say(text string) line { return line{{text, plain}} }

// look is how lines are drawn.
type look struct{ colour, ascii bool }

// draw gives a line in at most so many columns.
func (k look) draw(l line, width int) string {
	var out strings.Builder
	for _, s := range l {
		text := k.fit(s.text, width)
		width -= ansi.StringWidth(text)
		if k.colour && s.colour != plain && text != "" {
			text = s.colour + text + reset
		}
		out.WriteString(text)
	}
	return strings.TrimRight(out.String(), " ")
}

// fit makes a text harmless, and cuts it off where it is wider than so many
// columns.
func (k look) fit(text string, width int) string {
	tail := "…"
	if k.ascii {
		tail = "~"
	}
	return ansi.Truncate(k.clean(text), max(width, 0), tail)
}

// pad fits a text into exactly so many columns.
func (k look) pad(text string, width int) string {
	text = k.fit(text, width)
	return text + strings.Repeat(" ", max(width-ansi.StringWidth(text), 0))
}

// clean makes a text harmless: white space becomes a space, and what a terminal
// would not show but obey, or show in another order, is written as Go would.
func (k look) clean(text string) string {
	if isClean(text) {
		return text
	}
	var out strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out.WriteString(`\x` + strconv.FormatUint(uint64(text[0]), 16))
		case unicode.IsSpace(r):
			out.WriteByte(' ')
		case !unicode.IsPrint(r):
			out.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		case k.ascii && r == 'µ': // of time.Duration
			out.WriteByte('u')
		case k.ascii && r >= utf8.RuneSelf:
			out.WriteByte('?')
		default:
			out.WriteRune(r)
		}
		text = text[size:]
	}
	return out.String()
}

func isClean(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// bar draws how much of a limit is taken, in so many columns. Something is never
// drawn as nothing.
func (k look) bar(n, limit int64, width int) (full, empty string) {
	width = max(width, 0)
	cells := 0
	if limit > 0 && n > 0 {
		cells = int(min(float64(width), max(1, float64(width)*float64(n)/float64(limit))))
	}
	cells = min(cells, width)
	if k.ascii {
		return strings.Repeat("#", cells), strings.Repeat(".", width-cells)
	}
	return strings.Repeat("█", cells), strings.Repeat("░", width-cells)
}

// sparks draws figures from 0 to the largest of them, a column each. Something is
// never drawn as nothing, and what is not known is a blank.
func (k look) sparks(figures []*int64) string {
	marks := []rune("▁▂▃▄▅▆▇█")
	if k.ascii {
		marks = []rune("_.:-=+*#")
	}
	top := peak(figures)
	var out strings.Builder
	for _, n := range figures {
		switch {
		case n == nil:
			out.WriteByte(' ')
		case *n <= 0 || top <= 0:
			out.WriteRune(marks[0])
		default:
			out.WriteRune(marks[1+int(float64(len(marks)-2)*float64(*n)/float64(top))])
		}
	}
	return out.String()
}

func peak(figures []*int64) int64 {
	top := int64(0)
	for _, n := range figures {
		if n != nil {
			top = max(top, *n)
		}
	}
	return top
}

// column is one of a table: as wide as its widest cell, within its bounds.
type column struct {
	title    string
	min, max int
	// rank says who gets room first, and who goes last: the highest.
	rank int
	// cell and colour give what stands in a row; a column without colour is plain.
	cell   func(row int) string
	colour func(row int) string
}

// gap is the columns of the screen between two of a table.
const gap = 2

// grid gives the columns of a table that have room on the screen, and how wide
// they are. Two stay in any case, the first as narrow as it must be.
func (k look) grid(columns []column, rows, width int) ([]column, []int) {
	wanted := make([]int, len(columns))
	for i, c := range columns {
		wanted[i] = ansi.StringWidth(c.title)
		for row := range rows {
			wanted[i] = max(wanted[i], ansi.StringWidth(k.clean(c.cell(row))))
		}
		wanted[i] = min(wanted[i], c.max)
	}
	byRank := make([]int, len(columns)) // of the columns that stay
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
