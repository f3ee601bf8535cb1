package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

const auto = "auto"

// scalar is a single YAML value as written.
type scalar struct {
	text   string
	quoted bool
}

// scalarOf returns the scalar of a node, and refuses every other node.
func scalarOf(n *yaml.Node) (scalar, *fault) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch {
	case n.Kind != yaml.ScalarNode:
		return scalar{}, newFault("is "+kindOf(n), "a single value")
	case n.Style&yaml.TaggedStyle != 0:
		return scalar{}, newFault("has the tag "+strconv.Quote(shorten(n.Tag)), "the value without a tag")
	case n.ShortTag() == "!!null" && !quoted:
		return scalar{}, newFault("has no value", "a value; without one, remove the key")
	}
	return scalar{text: n.Value, quoted: quoted}, nil
}

// kindOf returns a node's kind, for messages.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.ShortTag() == "!!null":
		return "empty"
	case n.Kind == yaml.ScalarNode:
		return "a single value"
	}
	return "not a value"
}

// parseNumber parses a whole decimal number. It refuses text that is a number in only some of
// YAML's dialects, or a different one in each, and suggests what to write instead.
func parseNumber(s scalar, least, most int64) (int64, *fault) {
	allowed := fmt.Sprintf("a whole number, %d..%d", least, most)
	digits := strings.TrimPrefix(s.text, "-")
	plain := digits != "" && strings.Trim(digits, "0123456789") == ""
	switch {
	case s.quoted && plain:
		return 0, newFault(strconv.Quote(s.text)+" is text", "the number without quotes")
	case plain && len(digits) > 1 && digits[0] == '0':
		return 0, newFault(quote(s.text)+" may be read as octal", octalHint(s.text))
	case s.text == "-0":
		return 0, newFault("-0 is not a whole decimal number", "write 0")
	case !plain:
		return 0, notDecimal(s.text, allowed)
	}
	n, err := strconv.ParseInt(s.text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, newFault(quote(s.text)+" is out of range", fmt.Sprintf("%d..%d", least, most))
	}
	return n, nil
}

func octalHint(text string) string {
	decimal, _ := strconv.ParseInt(text, 10, 64)
	octal, err := strconv.ParseInt(text, 8, 64)
	if err != nil {
		return fmt.Sprintf("write %d", decimal)
	}
	return fmt.Sprintf("write %d or %d", decimal, octal)
}

// notDecimal returns the fault of text that is not decimal, with the number where it is one in
// another notation.
func notDecimal(text, allowed string) *fault {
	wrong := newFault(quote(text)+" is not a whole decimal number", allowed)
	if n, err := strconv.ParseInt(text, 0, 64); err == nil { // 0x10, 0b1, 0o17, 1_000, +5
		wrong.allowed = fmt.Sprintf("write %d", n)
	} else if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		// 1e6, 65536.0
		wrong.allowed = fmt.Sprintf("write %d", int64(f))
	}
	return wrong
}

// parseBool parses true or false, or the kernel's 1 or 0.
func parseBool(s scalar) (bool, *fault) {
	if !s.quoted {
		switch s.text {
		case "true", "True", "TRUE", "1":
			return true, nil
		case "false", "False", "FALSE", "0":
			return false, nil
		}
	}
	return false, newFault(quoteScalar(s)+" is not a boolean", "true or false")
}

// parseDuration parses 90s, 1h30m, 5d, or a plain number of seconds.
func parseDuration(s scalar) (time.Duration, *fault) {
	if s.text != "" && strings.Trim(s.text, "-0123456789") == "" {
		n, bad := parseNumber(s, math.MinInt64, math.MaxInt64)
		if bad != nil {
			return 0, bad
		}
		if n > math.MaxInt64/int64(time.Second) || n < -math.MaxInt64/int64(time.Second) {
			return 0, newFault(quote(s.text)+" is out of range", "at most 292 years")
		}
		return time.Duration(n) * time.Second, nil
	}
	d, err := ParseDuration(s.text)
	if err != nil {
		return 0, newFault(quoteScalar(s)+" is not a duration",
			"such as 90s, 1h30m, 24h or 5d, or a number of seconds")
	}
	return d, nil
}

// parseSeconds parses a duration in whole seconds.
func parseSeconds(s scalar, least, most int64) (int64, *fault) {
	d, wrong := parseDuration(s)
	if wrong != nil {
		return 0, wrong
	}
	n := int64(d / time.Second)
	switch {
	case d%time.Second != 0:
		return 0, newFault(quote(s.text)+" is not a whole number of seconds", "such as 90s, 24h or 5d")
	case n < least || n > most:
		return 0, newFault(quote(s.text)+" is out of range", fmt.Sprintf("%ds..%ds", least, most))
	}
	return n, nil
}

// parseText parses the value of a sysctl that is not in the catalogue.
func parseText(s scalar) (string, *fault) {
	switch {
	case strings.TrimSpace(s.text) == "":
		return "", newFault("has no value", "the text to write to the kernel")
	case strings.ContainsFunc(s.text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "", newFault("has more than one line or control characters", "one line of text")
	case len(s.text) > 4000:
		return "", newFault("is too long", "up to 4000 bytes: the kernel accepts a page")
	}
	return s.text, nil
}

// kernelValue parses the value of a setting.
func parseValue(set *sysfs.Setting, s scalar) (sysfs.Value, *fault) {
	var n int64
	var wrong *fault
	switch set.Kind {
	case sysfs.Text:
		text, wrong := parseText(s)
		return sysfs.TextValue(text), wrong
	case sysfs.Bool:
		var on bool
		if on, wrong = parseBool(s); on {
			n = 1
		}
	case sysfs.Seconds:
		n, wrong = parseSeconds(s, set.Min, set.Max)
	default:
		n, wrong = parseNumber(s, set.Min, set.Max)
		if wrong != nil && canBeAuto(set.Name) && strings.Contains(wrong.allowed, "..") {
			wrong.allowed += ", or " + auto
		}
	}
	return sysfs.Number(n), wrong
}

// sizeable reports whether a setting may be auto.
func canBeAuto(name string) bool { return name == sysfs.Max || name == sysfs.Hashsize }

func formatBool(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// quoteScalar returns a scalar for an error message, in quotes where the file has them.
func quoteScalar(s scalar) string {
	if s.quoted {
		return strconv.Quote(s.text)
	}
	return quote(s.text)
}

// quote returns text for an error message, short enough and in quotes where it is not printable.
func quote(text string) string {
	text = shorten(text)
	isUnprintable := func(r rune) bool { return !strconv.IsPrint(r) }
	if text != "" && utf8.ValidString(text) && !strings.ContainsFunc(text, isUnprintable) {
		return text
	}
	return strconv.Quote(text)
}

// shorten cuts text for an error message.
func shorten(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
