package document

import (
	"net/netip"
	"regexp"
	"strings"
)

// anything stands for any lines, or within a line for any text.
const anything = "…"

// varying is what differs from run to run, and what stands in its place when outputs are compared.
var varying = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)`), "TIME"},
	{regexp.MustCompile(`\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d \d\d:\d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`(\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?\b\d{4}-\d\d-\d\d\b`), "DATE"},
	{regexp.MustCompile(`(^|[\s"(])\d\d:\d\d(:\d\d(\.\d+)?)?\b`), "${1}TIME"},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+-\d+(-[a-z0-9]+)+\b`), "KERNEL"},
	{regexp.MustCompile(`\bgo1\.\d+(\.\d+)?\b`), "GO"},
	{regexp.MustCompile(`\b[0-9a-f]{40}\b`), "COMMIT"},
	{regexp.MustCompile(`\b(PID:|pid) \d+\b`), "$1 PID"},
	{regexp.MustCompile(`\[\d+\]`), "[PID]"},
	{regexp.MustCompile(`\b(\d+m)?\d+(\.\d+)?(ns|µs|us|ms)\b|\b(\d+m)?\d+\.\d+s\b|\b\d+m\d+s\b`), "DURATION"},
	{regexp.MustCompile(`\bin \d+s\b`), "in DURATION"},
	{regexp.MustCompile(`\b\d+(s|ms|min|m|h|d| s| min| h| seconds?| minutes?)( \d+(s|ms|min))? ago\b`), "DURATION ago"},
	{regexp.MustCompile(` +`), " "},
}

// version is a version number of three parts. An IPv4 address has four.
var version = regexp.MustCompile(`\bv?\d+\.\d+\.\d+[-+~.\w]*`)

// normalise replaces what differs from run to run.
func normalise(line string) string {
	for _, v := range varying {
		line = v.pattern.ReplaceAllString(line, v.word)
	}
	line = version.ReplaceAllStringFunc(line, func(found string) string {
		if _, err := netip.ParseAddr(strings.TrimRight(found, ".")); err == nil {
			return found
		}
		return "VERSION"
	})
	return strings.TrimRight(line, " ")
}

// isMatch reports whether a line of a document stands for a line that was printed.
func isMatch(shown, printed string) bool {
	parts := strings.Split(normalise(shown), anything)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(normalise(printed))
}

// compare compares the shown lines with the printed ones. If they differ it returns the difference, and the printed
// lines with the shown ones kept where they still match.
func compare(shown, printed []string) (kept []string, diff string) {
	best := align(shown, printed)
	differs := false
	var text strings.Builder
	line := func(mark, content string) {
		differs = differs || mark != "  "
		text.WriteString(strings.TrimRight(mark+content, " ") + "\n")
	}
	i, j := 0, 0
	for i < len(shown) || j < len(printed) {
		switch move := best[i][j].move; move {
		case match, begin:
			kept = append(kept, shown[i])
			line("  ", shown[i])
			i++
			if move == match {
				j++
			}
		case skip:
			j++
		case remove:
			line("- ", shown[i])
			i++
		case add:
			kept = append(kept, printed[j])
			line("+ ", printed[j])
			j++
		}
	}
	if !differs {
		return shown, ""
	}
	return kept, text.String()
}

// The moves from one cell of an alignment to the next.
const (
	remove = iota // a shown line that was not printed
	add           // a printed line that is not shown
	match         // two lines that match
	skip          // a printed line that the "…" before stands for
	begin         // a line "…"
)

type cell struct{ cost, move int }

// align returns the cheapest way to turn the shown lines into the printed ones, for each rest of both. A line "…"
// stands for any number of lines at no cost.
func align(shown, printed []string) [][]cell {
	best := make([][]cell, len(shown)+1)
	for i := range best {
		best[i] = make([]cell, len(printed)+1)
	}
	for i := len(shown); i >= 0; i-- {
		for j := len(printed); j >= 0; j-- {
			if i == len(shown) && j == len(printed) {
				continue
			}
			best[i][j] = cell{cost: 1 << 30}
			try := func(move, i2, j2, cost int) {
				if i2 <= len(shown) && j2 <= len(printed) && best[i2][j2].cost+cost < best[i][j].cost {
					best[i][j] = cell{best[i2][j2].cost + cost, move}
				}
			}
			after := i > 0 && strings.TrimSpace(shown[i-1]) == anything
			switch {
			case i < len(shown) && strings.TrimSpace(shown[i]) == anything:
				try(begin, i+1, j, 0)
			case i < len(shown) && j < len(printed) && isMatch(shown[i], printed[j]):
				try(match, i+1, j+1, 0)
			}
			if after {
				try(skip, i, j+1, 0)
			}
			try(remove, i+1, j, 1)
			try(add, i, j+1, 1)
		}
	}
	return best
}
