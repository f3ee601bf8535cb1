package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// toolkitLog gives the exporter toolkit a logger. What it only mentions is for those who look
// for it; a complaint is passed on once and not at each request, which anybody may make.
func toolkitLog(log *zap.Logger) *slog.Logger {
	return slog.New(&slogCore{log: log, said: &complaints{}})
}

// slogCore is a slog.Handler that writes to zap.
type slogCore struct {
	log  *zap.Logger
	said *complaints
}

// complaints is the one that was passed on last.
type complaints struct {
	mu   sync.Mutex
	last string
}

func (c *complaints) news(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.last == text
	c.last = text
	return !old
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
	if level == zapcore.DebugLevel || s.said.news(strings.Join(text, "\n")) {
		s.log.Log(level, "the web server says: "+r.Message, fields...)
	}
	return nil
}

// serverLog takes what an http.Server complains of. Anybody on the network can cause that, so
// it is for those who look for it; but where it comes of a file of TLS and passwords that has
// been changed and is wrong, nobody is served, and that is said.
type serverLog struct {
	log       *zap.Logger
	webConfig string
	said      complaints
}

// Write implements io.Writer for a log.Logger: one complaint at a time.
func (s *serverLog) Write(text []byte) (int, error) {
	s.log.Debug("the web server complains", zap.String("error", strings.TrimSpace(string(text))))
	err := usable(s.webConfig)
	switch {
	case err == nil:
		s.said.news("") // the next is news again
	case s.said.news(err.Error()):
		s.log.Warn("metrics and status page are not served over TCP until a file is mended", zap.Error(err))
	}
	return len(text), nil
}

// WithAttrs implements slog.Handler.
func (s *slogCore) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make([]zap.Field, len(attrs))
	for i, a := range attrs {
		fields[i] = zap.String(a.Key, a.Value.String())
	}
	return &slogCore{s.log.With(fields...), s.said}
}

// WithGroup implements slog.Handler.
func (s *slogCore) WithGroup(name string) slog.Handler {
	return &slogCore{s.log.With(zap.Namespace(name)), s.said}
}
