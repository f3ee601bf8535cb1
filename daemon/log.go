package daemon

import (
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// LogFormats are the values of --log-format.
func LogFormats() []string { return []string{"auto", "journal", "console", "json"} }

// NewLogger returns a logger: journal writes native journal entries, console lines for people,
// json lines for programs. auto is journal where standard error is connected to it, else
// console. colour is for terminals.
func NewLogger(format string, level zapcore.Level, stderr io.Writer, colour bool) (*logging.Logger, error) {
	out := zapcore.Lock(zapcore.AddSync(stderr))
	switch {
	case format == "journal" || format == "auto" && systemd.OnJournal():
		core, err := systemd.NewJournalCore(level)
		if err != nil {
			return nil, err
		}
		return logging.New(core), nil
	case format == "json":
		encoder := zapcore.EncoderConfig{
			TimeKey: "ts", LevelKey: "level", MessageKey: "msg", EncodeLevel: zapcore.LowercaseLevelEncoder,
			EncodeTime: zapcore.RFC3339NanoTimeEncoder, EncodeDuration: zapcore.StringDurationEncoder,
		}
		return logging.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoder), out, level)), nil
	case slices.Contains(LogFormats(), format):
		encoder := zapcore.NewConsoleEncoder(consoleConfig(colour))
		return logging.New(consoleCore{zapcore.NewCore(encoder, out, level)}), nil
	}
	return nil, fmt.Errorf("cannot log as %q (auto, journal, console or json)", format)
}

func consoleConfig(colour bool) zapcore.EncoderConfig {
	encoder := zapcore.EncoderConfig{
		TimeKey: "T", LevelKey: "L", MessageKey: "M", EncodeLevel: zapcore.CapitalLevelEncoder,
		EncodeTime:     zapcore.TimeEncoderOfLayout("15:04:05.000"),
		EncodeDuration: zapcore.StringDurationEncoder, ConsoleSeparator: " ",
	}
	if colour {
		encoder.EncodeLevel = zapcore.CapitalColorLevelEncoder
	}
	return encoder
}

// consoleCore leaves out the fields of events: their message has all of it.
type consoleCore struct{ zapcore.Core }

// Check implements zapcore.Core.
func (c consoleCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c consoleCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if slices.ContainsFunc(fields, func(f zapcore.Field) bool { return f.Key == systemd.KeyEvent }) {
		fields = nil
	}
	return c.Core.Write(e, fields)
}

// With implements zapcore.Core.
func (c consoleCore) With(fields []zapcore.Field) zapcore.Core {
	return consoleCore{c.Core.With(fields)}
}
