package logging

import (
	"fmt"
	"time"

	"go.uber.org/zap/zapcore"
)

// Field is a named value of an entry.
type Field = zapcore.Field

// Skip returns a field that is not written.
func Skip() Field { return Field{Type: zapcore.SkipType} }

// Error returns a field called error, which is not written where err is nil.
func Error(err error) Field {
	if err == nil {
		return Skip()
	}
	return Field{Key: "error", Type: zapcore.ErrorType, Interface: err}
}

// String returns a field of a text.
func String(key, value string) Field { return Field{Key: key, Type: zapcore.StringType, String: value} }

// Stringer returns a field of the text of a value.
func Stringer(key string, value fmt.Stringer) Field {
	return Field{Key: key, Type: zapcore.StringerType, Interface: value}
}

// Int returns a field of a number.
func Int(key string, value int) Field { return Int64(key, int64(value)) }

// Int64 returns a field of a number.
func Int64(key string, value int64) Field {
	return Field{Key: key, Type: zapcore.Int64Type, Integer: value}
}

// Duration returns a field of a duration.
func Duration(key string, value time.Duration) Field {
	return Field{Key: key, Type: zapcore.DurationType, Integer: int64(value)}
}

// Strings returns a field of a list of texts.
func Strings(key string, values []string) Field {
	return Field{Key: key, Type: zapcore.ArrayMarshalerType, Interface: texts(values)}
}

type texts []string

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (t texts) MarshalLogArray(to zapcore.ArrayEncoder) error {
	for _, text := range t {
		to.AppendString(text)
	}
	return nil
}
