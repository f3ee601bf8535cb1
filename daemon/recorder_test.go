package daemon

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestWhoIsLogged(t *testing.T) {
	const container = "4f0c8a21bd034f0c8a21bd034f0c8a21bd034f0c8a21bd034f0c8a21bd034f0c"
	proxy := &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Unit: "x.scope", Container: container, Pod: "1f0e",
		PodNamespace: "kube-system", PodName: "kube-proxy-x7k2p"}
	drift := reconcile.Event{Kind: reconcile.KindDrift, Setting: "max", Want: sysfs.Number(100), Found: sysfs.Number(7),
		Result: reconcile.ResultRepaired, Cause: reconcile.CauseWrite, By: proxy}
	tests := []struct {
		name  string
		event reconcile.Event
		level zapcore.Level
		want  map[string]any
	}{
		{"a container's write", drift, zapcore.WarnLevel, map[string]any{
			"event": "drift", "setting": "max", "want": "100", "found": "7", "result": "repaired", "cause": "write",
			"by_pid": int64(2211), "by_comm": "kube-proxy", "by_unit": "container " + container + ", pod 1f0e",
			"by_pod": "kube-proxy-x7k2p", "by_namespace": "kube-system",
		}},
		{"a load by who is gone", reconcile.Event{Kind: reconcile.KindModuleLoad,
			By: &sysfs.Writer{Unit: "firewall.service"}}, zapcore.InfoLevel, map[string]any{
			"event": "module-load", "by_unit": "firewall.service",
		}},
		{"nobody was seen", reconcile.Event{Kind: reconcile.KindModuleUnload}, zapcore.InfoLevel,
			map[string]any{"event": "module-unload"}},
		{"a refused write", reconcile.BlockedWriteEvent(time.Now(), reconcile.KindRefusedWrite,
			sysfs.Want{Setting: sysfs.Lookup("max"), Value: sysfs.Number(100)}, "7",
			&sysfs.Writer{PID: 9, Comm: "sysctl"}), zapcore.WarnLevel, map[string]any{
			"event": "refused-write", "setting": "max", "want": "100", "value": "7",
			"by_pid": int64(9), "by_comm": "sysctl",
		}},
		{"an absorbed write", reconcile.BlockedWriteEvent(time.Now(), reconcile.KindAbsorbedWrite,
			sysfs.Want{Setting: sysfs.Lookup("max"), Value: sysfs.Number(100), Origin: tree.Place{File: "/c", Line: 3}},
			"7", &sysfs.Writer{PID: 9, Comm: "sysctl"}), zapcore.WarnLevel, map[string]any{
			"event": "absorbed-write", "setting": "max", "want": "100", "value": "7",
			"by_pid": int64(9), "by_comm": "sysctl", "hint": "to change the value, edit /c:3",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			core, logs := observer.New(zapcore.DebugLevel)
			eventLogger{logging.New(core)}.Record(tt.event)
			if logs.Len() != 1 {
				t.Fatalf("%d entries, want 1", logs.Len())
			}
			entry := logs.All()[0]
			if entry.Level != tt.level || entry.Message != tt.event.Message {
				t.Errorf("%s %q, want %s %q", entry.Level, entry.Message, tt.level, tt.event.Message)
			}
			if diff := cmp.Diff(tt.want, entry.ContextMap()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
}
