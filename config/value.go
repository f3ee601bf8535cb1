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

// scalar is a single value as written.
type scalar struct {
	text   string
	quoted bool
}

// scalarOf refuses everything that is not one plain value.
func scalarOf(n *yaml.Node) (scalar, *fault) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch {
	case n.Kind != yaml.ScalarNode:
		return scalar{}, &fault{problem: "is " + kindOf(n), allowed: "a single value"}
	case n.Style&yaml.TaggedStyle != 0:
		return scalar{}, &fault{problem: "has the tag " + strconv.Quote(n.Tag), allowed: "the value without a tag"}
	case n.ShortTag() == "!!null" && !quoted:
		return scalar{}, &fault{problem: "has no value", allowed: "a value; to let it go leave the key out"}
	}
	return scalar{text: n.Value, quoted: quoted}, nil
}

// kindOf names a node's kind for people.
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

// number reads a whole decimal number. What looks like one in some dialect of
// YAML, and is another in the next, is refused with what to write instead.
func number(s scalar, least, most int64) (int64, *fault) {
	allowed := fmt.Sprintf("a whole number, %d..%d", least, most)
	digits := strings.TrimPrefix(s.text, "-")
	plain := digits != "" && strings.Trim(digits, "0123456789") == ""
	switch {
	case s.quoted && plain:
		return 0, &fault{problem: strconv.Quote(s.text) + " is text", allowed: "the number without quotes"}
	case plain && len(digits) > 1 && digits[0] == '0':
		return 0, &fault{problem: quote(s.text) + " may be read as octal", allowed: octalHint(s.text)}
	case !plain:
		return 0, notDecimal(s.text, allowed)
	}
	n, err := strconv.ParseInt(s.text, 10, 64)
	if err != nil || n < least || n > most {
		return 0, &fault{problem: quote(s.text) + " is out of range", allowed: fmt.Sprintf("%d..%d", least, most)}
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

// notDecimal suggests the decimal number where the text is one in disguise.
func notDecimal(text, allowed string) *fault {
	wrong := &fault{problem: quote(text) + " is not a whole decimal number", allowed: allowed}
	if n, err := strconv.ParseInt(text, 0, 64); err == nil { // 0x10, 0b1, 0o17, 1_000, +5
		wrong.allowed = fmt.Sprintf("write %d", n)
	} else if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 { // 1e6, 65536.0
		wrong.allowed = fmt.Sprintf("write %d", int64(f))
	}
	return wrong
}

// boolean reads true or false, or 1 or 0 as the kernel has them.
func boolean(s scalar) (bool, *fault) {
	if !s.quoted {
		switch s.text {
		case "true", "True", "TRUE", "1":
			return true, nil
		case "false", "False", "FALSE", "0":
			return false, nil
		}
	}
	return false, &fault{problem: describe(s) + " is not a truth value", allowed: "true or false"}
}

// duration reads 90s, 1h30m, 5d, or a plain number of seconds.
func duration(s scalar) (time.Duration, *fault) {
	wrong := &fault{problem: describe(s) + " is not a duration", allowed: "such as 90s, 1h30m, 24h or 5d, or a number of seconds"}
	if s.text != "" && strings.Trim(s.text, "-0123456789") == "" {
		n, bad := number(s, math.MinInt64, math.MaxInt64)
		if bad != nil {
			return 0, bad
		}
		if n > math.MaxInt64/int64(time.Second) || n < -math.MaxInt64/int64(time.Second) {
			return 0, &fault{problem: quote(s.text) + " is out of range", allowed: "at most 292 years"}
		}
		return time.Duration(n) * time.Second, nil
	}
	d, err := ParseDuration(s.text)
	if err != nil {
		return 0, wrong
	}
	return d, nil
}

// seconds reads a duration that the kernel takes in whole seconds.
func seconds(s scalar, least, most int64) (int64, *fault) {
	d, wrong := duration(s)
	if wrong != nil {
		return 0, wrong
	}
	n := int64(d / time.Second)
	switch {
	case d%time.Second != 0:
		return 0, &fault{problem: quote(s.text) + " is not a whole number of seconds", allowed: "such as 90s, 24h or 5d"}
	case n < least || n > most:
		return 0, &fault{problem: quote(s.text) + " is out of range", allowed: fmt.Sprintf("%ds..%ds", least, most)}
	}
	return n, nil
}

// word reads text for a sysctl that the catalogue does not know, as written.
func word(s scalar) (string, *fault) {
	switch {
	case strings.TrimSpace(s.text) == "":
		return "", &fault{problem: "has no value", allowed: "the text that the kernel takes"}
	case strings.ContainsFunc(s.text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return "", &fault{problem: "has more than one line or control characters", allowed: "one line of text"}
	case len(s.text) > 4000:
		return "", &fault{problem: "is too long", allowed: "up to 4000 bytes: the kernel takes a page"}
	}
	return s.text, nil
}

// kernelValue parses the value of a setting.
func kernelValue(set *sysfs.Setting, s scalar) (sysfs.Value, *fault) {
	var n int64
	var wrong *fault
	switch set.Kind {
	case sysfs.Text:
		text, wrong := word(s)
		return sysfs.TextValue(text), wrong
	case sysfs.Bool:
		var on bool
		if on, wrong = boolean(s); on {
			n = 1
		}
	case sysfs.Seconds:
		n, wrong = seconds(s, set.Min, set.Max)
	default:
		n, wrong = number(s, set.Min, set.Max)
		if wrong != nil && sizeable(set.Name) && strings.Contains(wrong.allowed, "..") {
			wrong.allowed += ", or " + auto
		}
	}
	return sysfs.Number(n), wrong
}

// sizeable reports whether a setting may be auto.
func sizeable(name string) bool { return name == nameMax || name == nameHashsize }

func bit(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

// describe is a scalar for an error message: in quotes where the file has them.
func describe(s scalar) string {
	if s.quoted {
		return strconv.Quote(s.text)
	}
	return quote(s.text)
}

// quote makes text safe and short enough for one line of a message.
func quote(text string) string {
	const most = 60
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	if text != "" && utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}
