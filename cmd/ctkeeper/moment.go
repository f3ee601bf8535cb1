package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// momentForms says how a moment is written; the words are those of systemd.time(7).
const momentForms = "2006-01-02 15:04, RFC 3339, today, yesterday, or how long ago, as 10m, 2h30m or 1d"

// maxDays is what fits into a time.Duration.
const maxDays = 36500

// moment reads a point in time, or how long it is before now. Text without a zone is in
// that of now.
func moment(text string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	switch text {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	case "today":
		return time.Date(year, month, day, 0, 0, 0, 0, now.Location()), nil
	case "yesterday":
		return time.Date(year, month, day-1, 0, 0, 0, 0, now.Location()), nil
	}
	if ago, ok := ago(text); ok {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("invalid argument %q for --since (%s)", text, momentForms)
	}
	return t, nil
}

// ago reads a length of time, which may have days and, as in journalctl(1), a sign.
func ago(text string) (time.Duration, bool) {
	text = strings.TrimPrefix(text, "-")
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		return d, err == nil && d >= 0
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || n > maxDays {
		return 0, false
	}
	whole := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return whole, true
	}
	d, err := time.ParseDuration(rest)
	return whole + d, err == nil && d >= 0
}
