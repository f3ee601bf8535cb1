package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

var (
	proxy    = &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Container: "4f0c", Pod: "1f0e"}
	restorer = &sysfs.Writer{PID: 811, Comm: "iptables-restor", Unit: "firewall.service"}
)

const (
	proxyName    = "kube-proxy (pid 2211, container 4f0c of pod 1f0e)"
	restorerName = "iptables-restor (pid 811, firewall.service)"
)

func driftOfMax(change func(*Event)) Event {
	e := Event{
		Setting: "max", Policy: sysfs.Exactly, Want: sysfs.Number(100), Found: sysfs.Number(7), Cause: CauseWrite,
		Duration: Duration(1234567),
	}
	change(&e)
	return e
}

func TestDriftMessage(t *testing.T) {
	const repaired = "repaired in 1.23ms (cause: write)"
	tests := []struct {
		change func(*Event)
		want   string
	}{
		{func(e *Event) { e.Result = ResultRepaired }, "max was 7, wanted 100: " + repaired},
		{
			func(e *Event) { e.Result, e.Note = ResultRepaired, "careful" },
			"max was 7, wanted 100: " + repaired + "; careful",
		},
		{
			func(e *Event) { e.Result = ResultObserved },
			"max was 7, wanted 100: not repaired, mode is observe (cause: write)",
		},
		{
			func(e *Event) { e.Result, e.Error = ResultFailed, "why" },
			"max was 7, wanted 100: not repaired (cause: write): why",
		},
		{
			func(e *Event) { e.Result, e.By = ResultRepaired, proxy },
			"max was set to 7 by " + proxyName + ", wanted 100: " + repaired,
		},
		{
			func(e *Event) { e.Result, e.By = ResultObserved, proxy },
			"max was set to 7 by " + proxyName + ", wanted 100: not repaired, mode is observe (cause: write)",
		},
		{
			func(e *Event) { e.Result, e.By, e.Cause = ResultRepaired, restorer, CauseModuleLoad },
			"max was 7 after " + restorerName + " loaded the module, wanted 100: " +
				"repaired in 1.23ms (cause: module-load)",
		},
		{
			func(e *Event) { e.Result, e.Policy = ResultRepaired, sysfs.AtLeast },
			"max was 7, wanted at_least 100: " + repaired,
		},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, driftMessage(driftOfMax(tt.change))); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
}

func TestMessages(t *testing.T) {
	drift := driftOfMax(func(*Event) {})
	failed := driftOfMax(func(e *Event) { e.Error = "invalid argument" })
	two := forbiddenGroup{errText: "permission denied", remedy: "do this", settings: []string{"max", "hashsize"}}
	max, floor := sysfs.Want{Setting: sysfs.Lookup("max"), Value: sysfs.Number(100)}, sysfs.Want{
		Setting: sysfs.Lookup("max"), Policy: sysfs.AtLeast, Value: sysfs.Number(100),
	}
	const (
		contested = "max is contested: "
		lessOften = ", last to 7; wanted 100. Repairs are delayed from now on, by 30s at most"
	)
	tests := []struct{ got, want string }{
		{failedMessage(failed), "max was 7, wanted 100: not written: invalid argument"},
		{unreadableMessage(failed), "max cannot be read: invalid argument"},
		{
			forbiddenMessage(two)(forbiddenEvent(time.Time{}, two)),
			"cannot enforce max, hashsize: permission denied; do this",
		},
		{
			settledMessage(5, 12*time.Second)(drift),
			"max is no longer contested: it stays at 7; 5 changes by other writers in 12s, none in the last 10s",
		},
		{
			contestedMessage(nil)(drift),
			contested + "an unknown writer keeps changing it, or the kernel stores another value" + lessOften,
		},
		{contestedMessage([]*sysfs.Writer{proxy})(drift), contested + proxyName + " keeps changing it" + lessOften},
		{
			contestedMessage([]*sysfs.Writer{proxy, restorer})(drift),
			contested + proxyName + " and " + restorerName + " keep changing it" + lessOften,
		},
		{moduleMessage(Event{Kind: KindModuleLoad}), "nf_conntrack was loaded"},
		{moduleMessage(Event{Kind: KindModuleLoad, By: restorer}), "nf_conntrack was loaded by " + restorerName},
		{
			moduleMessage(Event{Kind: KindModuleUnload}),
			"nf_conntrack was unloaded: its settings do not exist until it is loaded again",
		},
		{
			moduleMessage(Event{Kind: KindModuleUnload, By: restorer}),
			"nf_conntrack was unloaded by " + restorerName + ": its settings do not exist until it is loaded again",
		},
		{
			BlockedWriteEvent(time.Time{}, KindRefusedWrite, max, "7", proxy).Message,
			"max: refused a write of 7 by " + proxyName + ": the guard is locked, wanted 100",
		},
		{
			BlockedWriteEvent(time.Time{}, KindRefusedWrite, floor, "", nil).Message,
			"max: refused a write by an unknown process: the guard is locked, wanted at_least 100",
		},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
}

func TestBlockedWrite(t *testing.T) {
	at, by := time.Unix(1_700_000_000, 0), &sysfs.Writer{PID: 7}
	for kind, want := range map[Kind]Event{
		KindRefusedWrite: {
			Message: "max: refused a write of 7 by somebody (pid 7): the guard is locked, wanted at_most 100",
		},
		KindAbsorbedWrite: {
			Message: "max: absorbed a write of 7 by somebody (pid 7): it succeeds and changes nothing, " +
				"wanted at_most 100; to change the value, edit /etc/ctkeeper/a.yaml:3",
			Note: "to change the value, edit /etc/ctkeeper/a.yaml:3",
		},
	} {
		want.At, want.Kind, want.Setting, want.Value, want.By = at, kind, "max", "7", by
		want.Policy, want.Want = sysfs.AtMost, sysfs.Number(100)
		got := BlockedWriteEvent(at, kind, sysfs.Want{
			Setting: sysfs.Lookup("max"),
			Policy:  sysfs.AtMost,
			Value:   sysfs.Number(100),
			Origin:  tree.Place{File: "/etc/ctkeeper/a.yaml", Line: 3},
		}, "7", by)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
}
