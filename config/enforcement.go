package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// enforcement decodes the section enforcement.
func (d *decoder) enforcement(n *yaml.Node) {
	d.section(n, "enforcement", func(k, v *yaml.Node) {
		switch k.Value {
		case "mode":
			d.layer.mode = read(d, v, keyMode, parseMode)
		case "resync":
			d.layer.resync = read(d, v, keyResync, parseResync)
		default:
			d.failUnknown(k, "enforcement", []string{"mode", "resync"})
		}
	})
}

func parseMode(s scalar) (reconcile.Mode, *fault) {
	if m := reconcile.Mode(s.text); m == reconcile.Enforce || m == reconcile.Observe {
		return m, nil
	}
	return "", newFault(quote(s.text)+" is not a mode", "enforce or observe")
}

func parseResync(s scalar) (time.Duration, *fault) {
	allowed := fmt.Sprintf("%s..%s", shortDuration(MinResync), shortDuration(MaxResync))
	off := s.text == "off" || s.text == "never" || s.text == "false"
	if off || !s.quoted && s.text == "0" {
		return 0, newFault("cannot be off: only a pass finds some writes from containers", allowed)
	}
	d, wrong := parseDuration(s)
	if wrong == nil && (d < MinResync || d > MaxResync) {
		wrong = newFault(quote(s.text)+" is out of range", allowed)
	}
	return d, wrong
}

// errDuration is the error of text that is not a duration.
var errDuration = errors.New("not a duration")

// durationForm matches numbers with units. time.ParseDuration also accepts a plus sign, a 0 without a
// unit, and a point without a digit on one side (".5h", "1.h").
var durationForm = pattern.New(`^-?([0-9]+(\.[0-9]+)?[a-zµμ]+)+$`)

// ParseDuration parses a duration such as 90s, 1h30m, 24h or 5d12h: units as of time.ParseDuration,
// with whole days in front (up to 65535).
func ParseDuration(text string) (time.Duration, error) {
	if !durationForm.MatchString(text) {
		return 0, errDuration
	}
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	total := time.Duration(n) * 24 * time.Hour
	if err != nil || rest == "" {
		return total, err
	}
	d, err := time.ParseDuration(rest)
	if err != nil || rest == "0" || rest[0] < '0' || rest[0] > '9' || total+d < 0 {
		return 0, errDuration
	}
	return total + d, nil
}

// shortDuration formats a duration without zero units at its end: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
