package logging

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLogger(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	log := New(core).With(String("with", "a"))
	log.Debug("too low")
	log.Info("info", Int("int", 1), Int64("int64", 2), Duration("duration", time.Second), Error(nil))
	log.Warn("warn", Strings("strings", []string{"b", "c"}), Stringer("stringer", time.Minute))
	log.Error("error", Error(errors.New("d")), Skip())
	log.Wrap(func(c zapcore.Core) zapcore.Core { return c.With([]Field{String("wrapped", "e")}) }).Info("")
	NewNop().Error("nothing")
	type entry struct {
		level   zapcore.Level
		message string
		fields  map[string]any
	}
	want := []entry{
		{zapcore.InfoLevel, "info", map[string]any{
			"with": "a", "int": int64(1), "int64": int64(2), "duration": time.Second,
		}},
		{zapcore.WarnLevel, "warn", map[string]any{"with": "a", "strings": []any{"b", "c"}, "stringer": "1m0s"}},
		{zapcore.ErrorLevel, "error", map[string]any{"with": "a", "error": "d"}},
		{zapcore.InfoLevel, "", map[string]any{"with": "a", "wrapped": "e"}},
	}
	var got []entry
	for _, e := range logs.All() {
		got = append(got, entry{e.Level, e.Message, e.ContextMap()})
		if time.Since(e.Time) > time.Minute {
			t.Errorf("%s: at %s", e.Message, e.Time)
		}
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
