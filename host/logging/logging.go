package logging

import (
	"os"
	"time"

	"go.uber.org/zap/zapcore"
)

// Logger writes entries to a core. It can be used by many goroutines, if the core can.
type Logger struct{ core zapcore.Core }

// New returns a logger to a core.
func New(core zapcore.Core) *Logger { return &Logger{core} }

// NewNop returns a logger that writes nothing.
func NewNop() *Logger { return New(zapcore.NewNopCore()) }

// Wrap returns a logger to a core around this one's.
func (l *Logger) Wrap(around func(zapcore.Core) zapcore.Core) *Logger { return New(around(l.core)) }

// With returns a logger whose entries have these fields, too.
func (l *Logger) With(fields ...zapcore.Field) *Logger { return New(l.core.With(fields)) }

// Log writes an entry. Where the core cannot, standard error says so.
func (l *Logger) Log(level zapcore.Level, message string, fields ...zapcore.Field) {
	if !l.core.Enabled(level) {
		return
	}
	entry := zapcore.Entry{Level: level, Time: time.Now(), Message: message}
	if checked := l.core.Check(entry, nil); checked != nil {
		checked.ErrorOutput = os.Stderr
		checked.Write(fields...)
	}
}

// Debug writes an entry of that level.
func (l *Logger) Debug(message string, fields ...zapcore.Field) {
	l.Log(zapcore.DebugLevel, message, fields...)
}

// Info writes an entry of that level.
func (l *Logger) Info(message string, fields ...zapcore.Field) {
	l.Log(zapcore.InfoLevel, message, fields...)
}

// Warn writes an entry of that level.
func (l *Logger) Warn(message string, fields ...zapcore.Field) {
	l.Log(zapcore.WarnLevel, message, fields...)
}

// Error writes an entry of that level.
func (l *Logger) Error(message string, fields ...zapcore.Field) {
	l.Log(zapcore.ErrorLevel, message, fields...)
}
