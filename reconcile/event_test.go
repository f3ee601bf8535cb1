package reconcile

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestMessages(t *testing.T) {
	at := Event{Setting: "max", Want: "100", Found: "7", Cause: CauseWrite, Duration: Duration(1234567)}
	with := func(r Result, err, note string) Event {
		e := at
		e.Result, e.Error, e.Note = r, err, note
		return e
	}
	proxy := &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Container: "4f0c", Pod: "1f0e"}
	restore := &sysfs.Writer{PID: 811, Comm: "iptables-restor", Unit: "firewall.service"}
	by := func(e Event, by *sysfs.Writer) Event { e.By = by; return e }
	loaded := by(with(Repaired, "", ""), restore)
	loaded.Cause = CauseModuleLoad
	one, two := rival{by: proxy}, rival{by: restore}
	tests := []struct{ got, want string }{
		{drifted(with(Repaired, "", "")), "max was 7, wanted 100: repaired in 1.23ms (cause: write)"},
		{drifted(with(Repaired, "", "careful")), "max was 7, wanted 100: repaired in 1.23ms (cause: write); careful"},
		{drifted(with(Observed, "", "")), "max was 7, wanted 100: left alone, mode is observe (cause: write)"},
		{drifted(with(NotRepaired, "why", "")), "max was 7, wanted 100: not repaired (cause: write): why"},
		{drifted(by(with(Repaired, "", ""), proxy)), "max was set to 7 by kube-proxy (pid 2211, container 4f0c of pod 1f0e), wanted 100: repaired in 1.23ms (cause: write)"},
		{drifted(by(with(Observed, "", ""), proxy)), "max was set to 7 by kube-proxy (pid 2211, container 4f0c of pod 1f0e), wanted 100: left alone, mode is observe (cause: write)"},
		{drifted(by(with(NotRepaired, "why", ""), restore)), "max was set to 7 by iptables-restor (pid 811, firewall.service), wanted 100: not repaired (cause: write): why"},
		{drifted(loaded), "max was 7 after iptables-restor (pid 811, firewall.service) loaded the module, wanted 100: repaired in 1.23ms (cause: module-load)"},
		{failed(with("", "invalid argument", "")), "max was 7, wanted 100: the kernel refused it: invalid argument"},
		{forbidden(Event{Setting: "max,hashsize", Error: "permission denied"}, "do this"), "cannot enforce max, hashsize: permission denied; do this"},
		{settled(at, 5, 12*time.Second), "max has settled at 7: 5 more foreign changes seen in 12s, none in the last 10s"},
		{contested(at, nil), "max is contested: another writer keeps changing it (or the kernel does not keep it), last to 7; wanted 100. Repairing it less often now, at least every 30s"},
		{contested(at, []rival{one}), "max is contested: kube-proxy (pid 2211, container 4f0c of pod 1f0e) keeps changing it, last to 7; wanted 100. Repairing it less often now, at least every 30s"},
		{contested(at, []rival{one, two}), "max is contested: kube-proxy (pid 2211, container 4f0c of pod 1f0e) and iptables-restor (pid 811, firewall.service) keep changing it, last to 7; wanted 100. Repairing it less often now, at least every 30s"},
		{moduleMoved(Event{Kind: KindModuleLoad}, "nf_conntrack"), "nf_conntrack was loaded"},
		{moduleMoved(Event{Kind: KindModuleLoad, By: restore}, "nf_conntrack"), "nf_conntrack was loaded by iptables-restor (pid 811, firewall.service)"},
		{moduleMoved(Event{Kind: KindModuleUnload}, "nf_conntrack"), "nf_conntrack was unloaded: its settings are gone until it is loaded again"},
		{moduleMoved(Event{Kind: KindModuleUnload, By: restore}, "nf_conntrack"), "nf_conntrack was unloaded by iptables-restor (pid 811, firewall.service): its settings are gone until it is loaded again"},
		{RefusedWrite(time.Time{}, "max", "100", "7", proxy).Message, "refused to let kube-proxy (pid 2211, container 4f0c of pod 1f0e) set max to 7: the guard is locked, wanted 100"},
		{RefusedWrite(time.Time{}, "max", "at_least 100", "", nil).Message, "refused to let somebody set max: the guard is locked, wanted at_least 100"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	}
}

func TestRefusedWrite(t *testing.T) {
	at, by := time.Unix(1_700_000_000, 0), &sysfs.Writer{PID: 7}
	want := Event{At: at, Kind: KindRefusedWrite, Setting: "max", Want: "100", Value: "7", By: by, Message: "refused to let somebody (pid 7) set max to 7: the guard is locked, wanted 100"}
	if diff := cmp.Diff(want, RefusedWrite(at, "max", "100", "7", by)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}
