package systemd

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.uber.org/zap/zapcore"
)

// maxName is the length that journald allows a field name
// (systemd.journal-fields(7)).
const maxName = 64

// fieldSet has zap fields as text: vars for programs, tail and failure for people.
// The zero value is empty. A fieldSet is immutable.
type fieldSet struct {
	vars    map[string]string // journal fields, by name
	prefix  string            // of the open zap namespaces
	tail    string            // " key=value" for each field, in the order of logging
	failure string            // the text of KeyError
}

// with returns the set with more fields. In vars the last one of a name wins.
func (s fieldSet) with(fields []zapcore.Field) fieldSet {
	if len(fields) == 0 {
		return s
	}
	next := s
	next.vars = make(map[string]string, len(s.vars)+len(fields))
	maps.Copy(next.vars, s.vars)
	var tail strings.Builder
	tail.WriteString(s.tail)
	for _, field := range fields {
		if field.Type == zapcore.NamespaceType {
			next.prefix += field.Key + "_"
			continue
		}
		next.add(&tail, field)
	}
	next.tail = tail.String()
	return next
}

// add adds one field, which may have several values (zap.Inline, an error with
// details) or none (zap.Skip).
func (s *fieldSet) add(tail *strings.Builder, field zapcore.Field) {
	encoder := zapcore.NewMapObjectEncoder()
	field.AddTo(encoder)
	for _, key := range slices.Sorted(maps.Keys(encoder.Fields)) {
		value := encoder.Fields[key]
		name := variableName(s.prefix + key)
		if duration, ok := value.(time.Duration); ok {
			s.vars[variableName(s.prefix+key+"_usec")] = strconv.FormatInt(duration.Microseconds(), 10)
		} else {
			s.vars[name] = text(value)
		}
		switch {
		case s.prefix+key == KeyEvent:
			// The message describes the event; programs use MESSAGE_ID and CTKEEPER_EVENT.
		case s.prefix+key == KeyError:
			s.failure = text(value)
		case key == field.Key+"Verbose":
			// zap's second text of the same error, with several lines.
		default:
			fmt.Fprintf(tail, " %s%s=%s", s.prefix, key, quote(text(value)))
		}
	}
}

// message returns the text of an entry: the constant message, the fields, and the
// error unless the message has it already. By default journalctl prints nothing
// else. The message of an event is complete without its fields.
func (s fieldSet) message(message string) string {
	if s.vars[variableName(KeyEvent)] != "" {
		return oneLine(message)
	}
	out := message + s.tail
	if s.failure != "" && !strings.Contains(message, s.failure) {
		out += ": " + oneLine(s.failure)
	}
	return out
}

// text returns the value of a field as a journal field has it.
func text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case time.Duration:
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case map[string]any, []any:
		if out, err := json.Marshal(v); err == nil {
			return string(out)
		}
	}
	return fmt.Sprint(value)
}

// quote quotes a value that is not one printable word.
func quote(value string) string {
	strange := func(r rune) bool { return r == '"' || unicode.IsSpace(r) || !unicode.IsPrint(r) }
	if value == "" || strings.ContainsFunc(value, strange) {
		return strconv.Quote(value)
	}
	return value
}

// variableName returns the journal field of a zap key: CTKEEPER_, then the key in
// upper snake case. Journald drops a field whose name holds anything but A to Z,
// digits and underscores, or that is over 64 characters long.
func variableName(key string) string {
	name := make([]byte, 0, len(fieldPrefix)+len(key)+2)
	name = append(name, fieldPrefix...)
	lower := false
	for _, r := range key {
		switch {
		case r >= 'a' && r <= 'z':
			name = append(name, byte(r-'a'+'A'))
		case r >= 'A' && r <= 'Z':
			if lower {
				name = append(name, '_')
			}
			name = append(name, byte(r))
		case r >= '0' && r <= '9':
			name = append(name, byte(r))
		default:
			name = append(name, '_')
		}
		lower = r >= 'a' && r <= 'z'
	}
	return string(name[:min(len(name), maxName)])
}
