package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// toolkitLog returns a logger for the exporter toolkit. Its messages are for level debug; a
// warning is logged once and not at each request, which anybody may make.
func toolkitLog(log *zap.Logger) *slog.Logger {
	return slog.New(&slogCore{log: log, last: &lastText{}})
}

// slogCore is a slog.Handler that writes to zap.
type slogCore struct {
	log  *zap.Logger
	last *lastText
}

// lastText is the text that was logged last.
type lastText struct {
	mu   sync.Mutex
	text string
}

// replace stores a text and reports whether it differs from the one before.
func (l *lastText) replace(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	differs := l.text != text
	l.text = text
	return differs
}

// Enabled implements slog.Handler.
func (s *slogCore) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (s *slogCore) Handle(_ context.Context, r slog.Record) error {
	level, text := zapcore.DebugLevel, []string{r.Message}
	var fields []zap.Field
	r.Attrs(func(a slog.Attr) bool {
		fields = append(fields, zap.String(a.Key, a.Value.String()))
		text = append(text, a.Value.String())
		return true
	})
	if r.Level >= slog.LevelWarn {
		level = zapcore.WarnLevel
	}
	if level == zapcore.DebugLevel || s.last.replace(strings.Join(text, "\n")) {
		s.log.Log(level, "metrics listener: "+r.Message, fields...)
	}
	return nil
}

// serverLog receives the errors of an http.Server. Anybody on the network can cause them, so
// they are for level debug. But where a file with TLS and passwords has become invalid nothing
// is served any more, and that is a warning.
type serverLog struct {
	log       *zap.Logger
	webConfig string
	last      lastText
}

// Write implements io.Writer for a log.Logger: one error at a time.
func (s *serverLog) Write(text []byte) (int, error) {
	s.log.Debug("metrics listener: request failed", zap.String("error", strings.TrimSpace(string(text))))
	err := validate(s.webConfig)
	switch {
	case err == nil:
		s.last.replace("")
	case s.last.replace(err.Error()):
		s.log.Warn("metrics listener: metrics.web_config is invalid, nothing is served until it is fixed",
			zap.Error(err))
	}
	return len(text), nil
}

// WithAttrs implements slog.Handler.
func (s *slogCore) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make([]zap.Field, len(attrs))
	for i, a := range attrs {
		fields[i] = zap.String(a.Key, a.Value.String())
	}
	return &slogCore{s.log.With(fields...), s.last}
}

// WithGroup implements slog.Handler.
func (s *slogCore) WithGroup(name string) slog.Handler {
	return &slogCore{s.log.With(zap.Namespace(name)), s.last}
}
