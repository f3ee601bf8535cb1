package status

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestNotReady(t *testing.T) {
	setting := func(name string, state reconcile.State) reconcile.SettingStatus {
		return reconcile.SettingStatus{Comparison: reconcile.Comparison{
			Name: name, State: state, Policy: sysfs.Exactly, Want: sysfs.Number(2), Live: sysfs.Number(1),
		}}
	}
	forbidden := setting("expect_max", reconcile.Forbidden)
	forbidden.Error = "permission denied"
	for _, test := range []struct {
		name     string
		mode     reconcile.Mode
		settings []reconcile.SettingStatus
		want     string
	}{
		{"no settings", reconcile.Enforce, nil, ""},
		{"in sync, pending or unsupported", reconcile.Enforce, []reconcile.SettingStatus{
			setting("max", reconcile.InSync), setting("hashsize", reconcile.Pending),
			setting("helper", reconcile.Unsupported)}, ""},
		{"drifted", reconcile.Enforce, []reconcile.SettingStatus{setting("max", reconcile.Drifted)},
			"max is 1, wanted 2"},
		{"forbidden", reconcile.Enforce, []reconcile.SettingStatus{forbidden}, "expect_max: permission denied"},
		{"several", reconcile.Enforce, []reconcile.SettingStatus{setting("max", reconcile.Drifted), forbidden},
			"max is 1, wanted 2 (and 1 other problem)"},
		{"contested", reconcile.Enforce, []reconcile.SettingStatus{setting("max", reconcile.Contested)},
			"max is contested: another writer keeps changing it; it is 1, wanted 2"},
		{"observing", reconcile.Observe, []reconcile.SettingStatus{setting("max", reconcile.Drifted), forbidden}, ""},
	} {
		d := Document{Daemon: Daemon{Running: true, Mode: test.mode}, Settings: test.settings}
		if got := d.NotReady(); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestKeptElsewhere(t *testing.T) {
	for _, test := range []struct {
		name   string
		daemon Daemon
		want   string
		grade  Severity
	}{
		{"standby", Daemon{Running: true, KeptElsewhere: true, Mode: reconcile.Observe},
			"The settings of this network namespace are kept by another ctkeeper, and this one observes until " +
				"that one ends",
			Warning},
		{"no mark", Daemon{Running: true, OwnerError: "taken"},
			"a second ctkeeper would not be noticed: taken", Warning},
		{"a pod's", Daemon{KeptElsewhere: true},
			"no ctkeeper answers here, but one keeps the settings of this network namespace", Warning},
		{"one that hangs", Daemon{KeptElsewhere: true, Error: "it hangs"}, "it hangs", Critical},
		{"none", Daemon{}, NotRunning, Critical},
	} {
		test.daemon.Config.OK = true
		d := Document{Daemon: test.daemon}
		d.Judge()
		if len(d.Problems) != 1 || d.Problems[0].Text != test.want || d.Headline != test.want ||
			d.Problems[0].Severity != test.grade {
			t.Errorf("%s: %+v, %q; want %s: %s", test.name, d.Problems, d.Headline, test.grade, test.want)
		}
	}
}
