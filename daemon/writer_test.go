package daemon

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
	c := newCounts()
	for i := range writers {
		by := &sysfs.Writer{Unit: fmt.Sprintf("unit%02d.service", i)}
		e := driftEvent("5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond)
		e.By = by
		c.record(e)
		c.record(e)
		refused := reconcile.BlockedWriteEvent(time.Now(), reconcile.KindRefusedWrite, maxWant(), "5", by)
		c.record(refused)
		refused.CountOnly = true
		c.record(refused)
	}
	c.record(driftEvent("5", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond))
	drifts, refused := []string{"drift{,write,max} 1"}, []string{}
	for i, name := 0, other; i <= maxWriters; i, name = i+1, fmt.Sprintf("unit%02d.service", i) {
		count := 2
		if name == other {
			count = 2 * (writers - maxWriters)
		}
		drifts = append(drifts, fmt.Sprintf("drift{%s,write,max} %d", name, count))
		refused = append(refused, fmt.Sprintf("refused{%s,max} %d", name, count))
	}
	want := append(drifts, fmt.Sprintf("repair_duration %d", 2*writers+1),
		fmt.Sprintf("repairs{repaired,max} %d", 2*writers+1))
	if diff := cmp.Diff(append(want, refused...), shown(c)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}

// A drift that is postponed and then repaired is counted once, with its writer.
func TestPostponedIsOneDriftOfItsWriter(t *testing.T) {
	c := newCounts()
	by := &sysfs.Writer{Unit: "cron.service"}
	first, second := postponed, repaired
	first.By, second.By = by, by
	c.record(first)
	c.record(second)
	want := []string{"drift{cron.service,write,max} 1", "repair_duration 1", "repairs{repaired,max} 1"}
	if diff := cmp.Diff(want, shown(c)); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}
