package sysfs

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Value is a setting's value: a whole number, or text for a setting of kind Text. The zero
// Value is unknown, as of a file that could not be read. Values are compared with ==.
//
// In JSON a number is a number, text is a string, and an unknown value is null.
type Value struct {
	kind   valueKind
	number int64
	text   string
}

type valueKind uint8

const (
	unknownValue valueKind = iota
	numberValue
	textValue
)

// Number returns the value of a numeric setting, in the setting's unit.
func Number(n int64) Value { return Value{kind: numberValue, number: n} }

// TextValue returns the value of a setting of kind Text.
func TextValue(text string) Value { return Value{kind: textValue, text: text} }

// Parse returns the value that the kernel shows as text. Text that is not a decimal number
// stays text, also for a numeric setting.
func (s *Setting) Parse(text string) Value { return s.parse([]byte(strings.TrimSpace(text))) }

// parse is Parse without surrounding blanks. A number costs no allocation.
func (s *Setting) parse(text []byte) Value {
	if s.Kind != Text {
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return Number(n)
		}
	}
	return TextValue(string(text))
}

// Known reports whether the value was read or set at all.
func (v Value) Known() bool { return v.kind != unknownValue }

// Int returns the value as a number. False means that it is text or unknown.
func (v Value) Int() (int64, bool) { return v.number, v.kind == numberValue }

// String returns the value as the kernel's files have it, and the empty string where it is
// unknown.
func (v Value) String() string {
	if v.kind == numberValue {
		return strconv.FormatInt(v.number, 10)
	}
	return v.text
}

// append appends String to a buffer.
func (v Value) append(to []byte) []byte {
	if v.kind == numberValue {
		return strconv.AppendInt(to, v.number, 10)
	}
	return append(to, v.text...)
}

// MarshalJSON writes a number, a string or null.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.kind {
	case numberValue:
		return strconv.AppendInt(nil, v.number, 10), nil
	case textValue:
		return json.Marshal(v.text)
	default:
		return []byte("null"), nil
	}
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (v *Value) UnmarshalJSON(data []byte) error {
	*v = Value{}
	switch {
	case string(data) == "null":
		return nil
	case data[0] == '"':
		v.kind = textValue
		return json.Unmarshal(data, &v.text)
	default:
		v.kind = numberValue
		return json.Unmarshal(data, &v.number)
	}
}

// Equal reports whether two values are the same.
func (v Value) Equal(other Value) bool { return v == other }

// IsZero reports whether the value is unknown: encoding/json's omitzero leaves it out then.
func (v Value) IsZero() bool { return !v.Known() }
