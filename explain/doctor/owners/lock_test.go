package owners

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// locked is a host whose configuration asks for max 1048576 and locks it.
func locked(t *testing.T, assignments ...inventory.Assignment) *picture.Host {
	t.Helper()
	h := doctortest.Owned(t, assignments...)
	h.Config.Guard.Mode = config.GuardLock
	h.Config.Origins = map[string]tree.Place{"guard.mode": {File: doctortest.MainFile, Line: 8}}
	return h
}

// proxyMax is kube-proxy's max.
func proxyMax(value string) inventory.Assignment {
	return inventory.Assignment{
		Place: tree.Place{File: "/var/lib/kube-proxy/config.conf",
			Line: 12}, Name: "max", Key: "conntrack.maxPerCore", Value: value,
		Tool: "kube-proxy", Phase: inventory.AtServiceStart,
	}
}

func TestLock(t *testing.T) {
	pod := finding.Finding{
		ID: "guard-lock-owner", Severity: finding.Warning,
		Summary: "with guard: lock kube-proxy does not start: it sets nf_conntrack_max to 131072, ctkeeper wants " +
			"1048576, and kube-proxy exits when the write is refused",
		Evidence: []finding.Evidence{
			finding.Seen(doctortest.MainFile, 8, "guard: lock"), finding.Seen("/var/lib/kube-proxy/config.conf", 12,
				"conntrack.maxPerCore = 131072"), finding.Seen(doctortest.MainFile, 3, "max: 1048576"),
		},
		Fix: doctortest.Configured("60-guard.yaml", "guard:", "  mode: hold"),
		Note: "With guard: hold the write succeeds and changes nothing, also that of other programs. To keep the " +
			"lock, configure kube-proxy not to set it: conntrack.maxPerCore: 0, or " +
			"--conntrack-max-per-core=0; for a pod in the ConfigMap kube-proxy of kube-system, then restart its " +
			"pods. Or allow all pods to write: guard.allow: [kubepods.slice].",
	}
	unit := pod
	unit.Fix = doctortest.Configured("90-x_guard.yaml", "guard:", "  mode: hold", "  allow: [sshd.service]")
	unit.Note = "With guard: hold the write succeeds and changes nothing, also that of other programs. To keep the " +
		"lock, configure kube-proxy not to set it: conntrack.maxPerCore: 0, or --conntrack-max-per-core=0; " +
		"or allow it to write: guard.allow: [kube-proxy.service]."
	withUnit := func(h *picture.Host) *picture.Host {
		h.Env.KubeProxyUnit = true
		return h
	}
	allowing := func(h *picture.Host, units ...string) *picture.Host {
		h.Config.Guard.Allow = units
		h.Config.Origins["guard.allow"] = tree.Place{File: "/etc/ctkeeper/conf.d/90-x.yaml", Line: 3}
		return h
	}
	hashsizes := proxyMax("8192")
	hashsizes.Name, hashsizes.Key = sysfs.Hashsize, "conntrack.maxPerCore"
	k3s := proxyMax("131072")
	k3s.Tool = "k3s"
	watching := locked(t, proxyMax("131072"))
	watching.Config.Guard.Mode = config.GuardWatch
	holding := locked(t, proxyMax("131072"))
	holding.Config.Guard.Mode, holding.BPF.WritesStrict = config.GuardHold, "1"
	observing := locked(t, proxyMax("131072"))
	observing.Config.Mode = reconcile.Observe
	for name, test := range map[string]struct {
		host *picture.Host
		want []finding.Finding
	}{
		"a pod": {locked(t, proxyMax("131072")), []finding.Finding{pod}},
		"a unit": {withUnit(allowing(locked(t, proxyMax("131072")), "sshd.service")),
			[]finding.Finding{unit}},
		"a unit that is allowed":   {withUnit(allowing(locked(t, proxyMax("131072")), "kube-proxy.service")), nil},
		"a pod where the unit is":  {allowing(locked(t, proxyMax("131072")), "kubepods.slice"), nil},
		"the value that is wanted": {locked(t, proxyMax("1048576")), nil},
		"hashsize, through sysfs":  {locked(t, hashsizes), nil},
		"one that bears it": {locked(t, k3s, doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax,
			"65536")), nil},
		"a guard that watches":        {watching, nil},
		"a guard that holds":          {holding, nil},
		"a daemon that only observes": {observing, nil},
		"no configuration":            {&picture.Host{}, nil},
	} {
		t.Run(name, func(t *testing.T) { doctortest.Check(t, checkLock(test.host), test.want) })
	}
}

// What becomes of an assignment depends on what the guard can do about it.
func TestBlockedConflict(t *testing.T) {
	const (
		writesBack = "ctkeeper writes its value back each time"
		refuses    = "ctkeeper's guard refuses it while the daemon runs, otherwise"
		absorbs    = "ctkeeper's guard absorbs it while the daemon runs: it seems"
	)
	for name, test := range map[string]struct {
		mode         config.GuardMode
		strict, want string
		allow        []string
	}{
		"watch":               {config.GuardWatch, "1", writesBack, nil},
		"lock":                {config.GuardLock, "0", refuses, nil},
		"hold":                {config.GuardHold, "1", absorbs, nil},
		"allowed":             {config.GuardLock, "1", writesBack, []string{"systemd-sysctl.service"}},
		"hold without effect": {config.GuardHold, "0", writesBack, nil},
		"hold, not known":     {config.GuardHold, "", writesBack, nil},
	} {
		h := locked(t, doctortest.Sysctl(doctortest.SiteConf, 1, doctortest.NetMax, "65536"))
		h.Config.Guard, h.BPF.WritesStrict = config.Guard{Mode: test.mode, Allow: test.allow}, test.strict
		if f := doctortest.Find(t, checkConflicts(h), "other-owner"); !strings.Contains(f.Summary, test.want) {
			t.Errorf("%s: no %q in %q", name, test.want, f.Summary)
		}
	}
}

// With CAP_PERFMON the lock refuses kube-proxy's timeouts as well.
func TestLockOfTimeouts(t *testing.T) {
	for name, test := range map[string]struct {
		unit, confidential string
		want               int
	}{
		"the shipped unit":        {"", "", 0},
		"the capability":          {"CAP_NET_ADMIN CAP_PERFMON", "", 1},
		"in a lockdown that bars": {"CAP_NET_ADMIN CAP_PERFMON", "[confidentiality]", 0},
	} {
		timeout := proxyMax("86400")
		timeout.Name, timeout.Key = "tcp_timeout_established", "conntrack.tcpEstablishedTimeout"
		h := locked(t, timeout)
		h.Config.Wants = append(h.Config.Wants, sysfs.Want{
			Setting: sysfs.Lookup(timeout.Name), Policy: sysfs.Exactly, Value: sysfs.Number(3600),
		})
		for _, key := range []string{"CapabilityBoundingSet=", "AmbientCapabilities="} {
			h.Env.Overrides = append(h.Env.Overrides, finding.Seen("/x.d/a.conf", 1, key+test.unit))
		}
		h.BPF.Confidential.Text = test.confidential
		found := checkLock(h)
		if len(found) != test.want {
			t.Errorf("%s: %+v", name, found)
		}
		for _, f := range found {
			if !strings.Contains(f.Note, "conntrack.tcpEstablishedTimeout: 0s") {
				t.Errorf("%s: note %q", name, f.Note)
			}
		}
	}
}

// TestHoldInsteadWorks has the shell write the drop-in, and the configuration read it.
func TestHoldInsteadWorks(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"main file": {"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 65536}\nguard: {mode: lock, allow: " +
			"['dev-disk-by\\x2dlabel-x.swap', 'getty@tty1.service']}\n"},
		// The drop-in that the fix replaces has the list.
		"own drop-in": {"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 65536}\nguard: lock\n",
			"etc/ctkeeper/conf.d/60-guard.yaml": "guard:\n  allow: ['dev-disk-by\\x2dlabel-x.swap', " +
				"'getty@tty1.service']\n"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			doctortest.Put(t, root, files)
			load := func() *config.Config {
				c, err := config.Source{Root: root, Main: config.DefaultMain}.Load()
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			doctortest.Apply(t, root, []finding.Step{holdInstead(&picture.Host{Config: load()})})
			want := config.Guard{Mode: config.GuardHold, Allow: []string{`dev-disk-by\x2dlabel-x.swap`,
				"getty@tty1.service"}}
			if diff := cmp.Diff(want, load().Guard); diff != "" {
				t.Errorf("guard (-want +got):\n%s", diff)
			}
		})
	}
}
