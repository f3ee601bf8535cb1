package sgr

import "github.com/ctkeeper/ctkeeper/status"

// The sequences, which every terminal with colours has.
const (
	Faint  = "\x1b[2m"
	Bold   = "\x1b[1m"
	Red    = "\x1b[31m"
	Green  = "\x1b[32m"
	Yellow = "\x1b[33m"
	Reset  = "\x1b[0m"
)

// Of returns the colour of a severity.
func Of(s status.Severity) string {
	switch s {
	case status.Good:
		return Green
	case status.Warning:
		return Yellow
	case status.Critical:
		return Red
	}
	return Faint
}
