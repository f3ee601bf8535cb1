package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
)

// timeForms lists the forms of --since; the words are those of systemd.time(7).
const timeForms = "2026-01-31 15:04, RFC 3339, today, yesterday, or how long ago: 10m, 2h30m, 1d"

// parseTime reads a time, or how long it is before now. Text without a zone is in that of now.
func parseTime(text string, now time.Time) (time.Time, error) {
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
	// As in journalctl(1), a time before now may have a sign.
	if ago, err := config.ParseDuration(strings.TrimPrefix(text, "-")); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly, "2006-01-02T15:04:05",
		"2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("invalid argument %q for --since (%s)", text, timeForms)
	}
	return t, nil
}
