package status

import (
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestEventFilter(t *testing.T) {
	at := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	const id = "4f0c8a21bd034f0c8a21bd034f0c8a21bd034f0c8a21bd034f0c8a21bd034f0c"
	drift := reconcile.Event{At: at, Kind: reconcile.KindDrift, Setting: "max",
		By: &sysfs.Writer{PID: 812, Comm: "sysctl", Unit: "sshd.service"}}
	pod := reconcile.Event{At: at, Kind: reconcile.KindDrift, Setting: "max",
		By: &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Container: id, Pod: "1f-2e",
			PodNamespace: "kube-system", PodName: "kube-proxy-x7k2p"}}
	several := reconcile.Event{At: at, Kind: reconcile.KindDrift, Setting: "max",
		By: &sysfs.Writer{Candidates: []string{"tuned (pid 7, tuned.service)", "sh"}}}
	load := reconcile.Event{At: at, Kind: reconcile.KindModuleLoad}
	forbidden := reconcile.Event{At: at, Kind: reconcile.KindForbidden, Settings: []string{"max", "hashsize"}}
	tests := []struct {
		name   string
		filter EventFilter
		event  reconcile.Event
		want   bool
	}{
		{"nothing asked", EventFilter{}, drift, true},
		{"earlier", EventFilter{Since: at.Add(-1)}, drift, true},
		{"not after itself", EventFilter{Since: at}, drift, false},
		{"its setting", EventFilter{Settings: []string{"hashsize", "max"}}, drift, true},
		{"another setting", EventFilter{Settings: []string{"hashsize"}}, drift, false},
		{"one of several settings", EventFilter{Settings: []string{"hashsize"}}, forbidden, true},
		{"no setting", EventFilter{Settings: []string{"max"}}, load, false},
		{"its kind", EventFilter{Kinds: []reconcile.Kind{reconcile.KindModuleLoad}}, load, true},
		{"another kind", EventFilter{Kinds: []reconcile.Kind{reconcile.KindModuleLoad}}, drift, false},
		{"all of it", EventFilter{Settings: []string{"max"}, Kinds: []reconcile.Kind{reconcile.KindDrift},
			By: "sysctl"}, drift, true},
		{"one part is wrong", EventFilter{Settings: []string{"max"}, Kinds: []reconcile.Kind{reconcile.KindDrift},
			By: "sh"}, drift, false},
		{"unit", EventFilter{By: "sshd.service"}, drift, true},
		{"unit, short", EventFilter{By: "sshd"}, drift, true},
		{"part of a unit", EventFilter{By: "ssh"}, drift, false},
		{"pid", EventFilter{By: "812"}, drift, true},
		{"name of a pod", EventFilter{By: "kube-proxy-x7k2p"}, pod, true},
		{"namespace and name of a pod", EventFilter{By: "kube-system/kube-proxy-x7k2p"}, pod, true},
		{"namespace alone", EventFilter{By: "kube-system"}, pod, false},
		{"no pid", EventFilter{By: "0"}, several, false},
		{"container", EventFilter{By: id}, pod, true},
		{"container, as it is shown", EventFilter{By: id[:12]}, pod, true},
		{"part of a container", EventFilter{By: id[:4]}, pod, false},
		{"pod", EventFilter{By: "1f-2e"}, pod, true},
		{"candidate", EventFilter{By: "tuned"}, several, true},
		{"second candidate", EventFilter{By: "sh"}, several, true},
		{"a candidate's unit", EventFilter{By: "tuned.service"}, several, true},
		{"no candidate", EventFilter{By: "tune"}, several, false},
		{"no writer", EventFilter{By: "tuned"}, load, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.filter.Selects(test.event); got != test.want {
				t.Errorf("%+v selects %+v: %t, want %t", test.filter, test.event, got, test.want)
			}
		})
	}
}
