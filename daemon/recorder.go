package daemon

import (
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
	"github.com/ctkeeper/ctkeeper/table"
)

// eventLogger writes each event to a log.
type eventLogger struct{ log *logging.Logger }

// Record logs an event, unless it is CountOnly.
func (l eventLogger) Record(e reconcile.Event) {
	if !e.CountOnly {
		l.log.Log(level(e), e.Message, fields(e)...)
	}
}

// recorder counts events, logs them, and adds them to the history.
type recorder struct {
	eventLogger
	history *history
	counts  *counts
}

// Record counts an event. Unless it is CountOnly, it also adds it to the history and logs it.
func (r recorder) Record(e reconcile.Event) {
	r.counts.record(e)
	if !e.CountOnly {
		r.history.add(e)
		r.eventLogger.Record(e)
	}
}

// level returns error for what ctkeeper cannot repair, and warning for what an operator should look into.
func level(e reconcile.Event) zapcore.Level {
	switch {
	case e.Result == reconcile.ResultFailed:
		return zapcore.ErrorLevel
	case e.Kind == reconcile.KindContested, e.Kind.IsBlockedWrite(), e.Note != "":
		return zapcore.WarnLevel
	case e.Kind == reconcile.KindTablePressure && (e.Loss != "" || e.Level != string(table.Normal)):
		return zapcore.WarnLevel
	case e.Kind == reconcile.KindDrift && e.Cause != reconcile.CauseStart && e.Cause != reconcile.CauseConfig:
		return zapcore.WarnLevel
	default:
		return zapcore.InfoLevel
	}
}

func fields(e reconcile.Event) []logging.Field {
	out := []logging.Field{logging.String(systemd.KeyEvent, string(e.Kind))}
	texts := map[string]string{
		systemd.KeySetting: strings.Join(e.SettingNames(), ","), systemd.KeyWant: e.WantText(),
		systemd.KeyFound: e.Found.String(), systemd.KeyValue: e.Value, systemd.KeyResult: string(e.Result),
		systemd.KeyCause: string(e.Cause), systemd.KeyError: e.Error, systemd.KeyTable: e.Table,
	}
	if e.Kind.IsBlockedWrite() {
		texts[systemd.KeyHint] = e.Note
	}
	if e.By != nil {
		texts[systemd.KeyByComm], texts[systemd.KeyByUnit] = e.By.Comm, e.By.Cgroup()
		texts[systemd.KeyByPod], texts[systemd.KeyByNamespace] = e.By.PodName, e.By.PodNamespace
		if e.By.PID != 0 {
			out = append(out, logging.Int(systemd.KeyByPID, e.By.PID))
		}
	}
	for key, value := range texts {
		if value != "" {
			out = append(out, logging.String(key, value))
		}
	}
	if e.Table != "" {
		out = append(out, logging.Int64(systemd.KeyEntries, e.Entries), logging.Int64(systemd.KeyLimit, e.Limit))
	}
	if e.Duration != 0 {
		out = append(out, logging.Duration(systemd.KeyDuration, time.Duration(e.Duration)))
	}
	return out
}
