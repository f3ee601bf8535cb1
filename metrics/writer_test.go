package metrics

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestWriterOf(t *testing.T) {
	id := strings.Repeat("4f0c8a21bd03", 6)[:64]
	tests := []struct {
		by   *sysfs.Writer
		want string
	}{
		{nil, ""},
		{&sysfs.Writer{}, ""},
		{&sysfs.Writer{PID: 7, Comm: "sysctl"}, ""},
		{&sysfs.Writer{PID: 7, Comm: "sysctl", Unit: "sshd.service"}, "sshd.service"},
		{&sysfs.Writer{Comm: "kube-proxy", Unit: "cri-containerd-" + id + ".scope", Container: id, Pod: "1f0e"},
			"container/kube-proxy"},
		{&sysfs.Writer{Unit: "docker-" + id + ".scope", Container: id}, "container"},
		{&sysfs.Writer{Comm: "a\xff", Container: id}, "container/a\uFFFD"},
		{&sysfs.Writer{Unit: "a\xff.service"}, "a\uFFFD.service"},

		{&sysfs.Writer{Unit: "session-12.scope"}, "session-*.scope"},
		{&sysfs.Writer{Unit: "session-c2.scope"}, "session-*.scope"},
		{&sysfs.Writer{Unit: "app-gnome-firefox-4711.scope"}, "app-gnome-firefox-*.scope"},
		{&sysfs.Writer{Unit: "vte-spawn-1b4e28ba-2fa1-11d2-883f-0016d3cca427.scope"}, "vte-spawn-*.scope"},
		{&sysfs.Writer{Unit: "docker-" + id + ".scope"}, "docker-*.scope"},
		{&sysfs.Writer{Unit: "run-r" + id[:32] + ".service"}, "run-*.service"},
		{&sysfs.Writer{Unit: "run-u12.service"}, "run-*.service"},
		{&sysfs.Writer{Unit: "run-p812-i3.scope"}, "run-*.scope"},
		{&sysfs.Writer{Unit: "run-812.scope"}, "run-*.scope"},
		{&sysfs.Writer{Unit: "sshd@3-192.0.2.1:22-198.51.100.2:4711.service"}, "sshd@*.service"},

		{&sysfs.Writer{Unit: "user@1000.service"}, "user@1000.service"},
		{&sysfs.Writer{Unit: "user-1000.slice"}, "user-1000.slice"},
		{&sysfs.Writer{Unit: "getty@tty1.service"}, "getty@tty1.service"},
		{&sysfs.Writer{Unit: "run-feed.service"}, "run-feed.service"},
		{&sysfs.Writer{Unit: "worker-2.service"}, "worker-2.service"},
		{&sysfs.Writer{Unit: "init.scope"}, "init.scope"},
	}
	for _, tt := range tests {
		if got := writerOf(reconcile.Event{By: tt.by}); got != tt.want {
			t.Errorf("%+v is %q, want %q", tt.by, got, tt.want)
		}
	}
}

// The writer does not change how often a drift is counted, and the number of writers is limited.
func TestWriters(t *testing.T) {
	const writers = 40
	m := New("1", busy)
	for i := range writers {
		by := &sysfs.Writer{Unit: fmt.Sprintf("unit%02d.service", i)}
		e := drift("max", "5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond)
		e.By = by
		m.Record(e)
		m.Record(e)
		refused := reconcile.RefusedWriteEvent(time.Now(), maxWant(), "5", by)
		m.Record(refused)
		refused.CountOnly = true
		m.Record(refused)
	}
	m.Record(drift("max", "5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond))
	var want []string
	for _, name := range []string{`ctkeeper_drift_total{by="%s",cause="write",setting="max"} %d`,
		`ctkeeper_refused_writes_total{by="%s",setting="max"} %d`} {
		if strings.Contains(name, "drift") {
			want = append(want, fmt.Sprintf(name, "", 1))
		}
		want = append(want, fmt.Sprintf(name, other, 2*(writers-maxWriters)))
		for i := range maxWriters {
			want = append(want, fmt.Sprintf(name, fmt.Sprintf("unit%02d.service", i), 2))
		}
	}
	if diff := cmp.Diff(want, nonzero(series(exposition(t, m), driftTotal, refusedWritesTotal))); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{fmt.Sprintf(`ctkeeper_repairs_total{result="repaired",setting="max"} %d`,
		2*writers+1)}, nonzero(series(exposition(t, m), repairsTotal))); diff != "" {
		t.Errorf("repairs (-want +got):\n%s", diff)
	}
}

// A drift that is postponed and then repaired is counted once, with its writer.
func TestPostponedIsOneDriftOfItsWriter(t *testing.T) {
	m := New("1", busy)
	by := &sysfs.Writer{Unit: "cron.service"}
	postponed, repaired := drift("max", "5", reconcile.CauseWrite, "", 0), drift("max", "5", reconcile.CauseWrite,
		reconcile.ResultRepaired, 1)
	postponed.By, repaired.By, postponed.CountOnly = by, by, true
	m.Record(postponed)
	m.Record(repaired)
	if diff := cmp.Diff([]string{`ctkeeper_drift_total{by="cron.service",cause="write",setting="max"} 1`},
		nonzero(series(exposition(t, m), driftTotal))); diff != "" {
		t.Errorf("drifts (-want +got):\n%s", diff)
	}
}

// The refused writes of a setting are deleted when it leaves the configuration.
func TestRefusedWritesRemoved(t *testing.T) {
	now := busy()
	m := New("1", func() Now { return now })
	m.Record(reconcile.RefusedWriteEvent(time.Now(), maxWant(), "5", nil))
	if diff := cmp.Diff([]string{`ctkeeper_refused_writes_total{by="",setting="max"} 1`},
		series(exposition(t, m), refusedWritesTotal)); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	now.Settings = nil
	if got := series(exposition(t, m), refusedWritesTotal); len(got) > 0 {
		t.Errorf("series without a setting: %q", got)
	}
}

func TestGuardState(t *testing.T) {
	for state, want := range map[string]string{"": "off", "off": "off", "watching": "watching", "locked": "locked",
		"unavailable": "unavailable"} {
		got := nonzero(series(exposition(t, New("1", func() Now { return Now{Guard: state} })), guardState))
		if diff := cmp.Diff([]string{`ctkeeper_guard_state{state="` + want + `"} 1`}, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", state, diff)
		}
	}
}
