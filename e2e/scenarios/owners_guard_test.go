//go:build guest && owners

package scenarios

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// blockedBy returns how many writes of a unit to a setting the journal reports (kind), and how many are counted.
func (c cursor) blockedBy(t *testing.T, kind, setting, unit string) (entries, count int) {
	t.Helper()
	for _, e := range c.events(t, kind, setting) {
		if e.get("CTKEEPER_BY_UNIT") == unit {
			entries++
			t.Log(e.get("MESSAGE"))
		}
	}
	name := strings.Replace(kind, "-write", "_writes_total", 1)
	return entries, int(scrape(t)[fmt.Sprintf("ctkeeper_%s{by=%q,setting=%q}", name, unit, setting)])
}

// TestOwnerKubeProxyGuard: kube-proxy ends if its write to max is refused. If it is absorbed, kube-proxy goes on: its
// other values are repaired, and it serves its rules.
func TestOwnerKubeProxyGuard(t *testing.T) {
	const file, proxy = "/etc/systemd/system/kube-proxy.service", "kube-proxy.service"
	config := strings.Replace(usual, "100000", "40000", 1) // less than what kube-proxy wants
	want := maps.Clone(usualValues)
	want["buckets"] = "40448"
	stop, err := rig.ServeKubeAPI()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	since := startGuard(t, config+"guard: lock\n", status.GuardLocked, systemd.GuardStep)
	waitApplied(t, prompt, want)
	writeFile(t, file, strings.Replace(kubeProxyUnit, "%s", os.Getenv("CTKEEPER_E2E_DIR"), 1)+kubeProxyFlags+
		"\n[Install]\nWantedBy=multi-user.target\n")
	t.Cleanup(func() { _ = os.Remove(file); run(t, "systemctl", "daemon-reload") })
	start(t, proxy)
	eventually(t, restarted, "kube-proxy ends", func() bool {
		_, code := try(t, "systemctl", "is-failed", "--quiet", proxy)
		return code == 0
	})
	for _, e := range since.query(t, "-u", proxy, "-g", "operation not permitted") {
		t.Logf("with lock: %s", e.get("MESSAGE"))
	}
	if entries, count := since.blockedBy(t, "refused-write", "max", proxy); entries != 1 || count != 1 {
		t.Errorf("with lock: %d entries, %d refused writes", entries, count)
	}
	writeFile(t, mainFile, config+"guard: hold\n")
	run(t, "systemctl", "reload", unit)
	waitGuard(t, status.GuardHolding)
	begin := journalEnd(t)
	checkWindow(t, "max", func() int {
		run(t, "systemctl", "start", proxy)
		begin.waitFor(t, restarted, "absorbed-write", "max")
		return 1
	})
	waitRules(t)
	if out := run(t, "systemctl", "show", "-P", "ActiveState", proxy); out != "active\n" {
		t.Errorf("with hold kube-proxy is %s", out)
	}
	if entries, count := begin.blockedBy(t, "absorbed-write", "max", proxy); entries != 1 || count != 1 {
		t.Errorf("with hold: %d entries, %d absorbed writes", entries, count)
	}
	// hashsize is written through /sys, which is not a sysctl, and timeouts belong to a namespace.
	for setting, found := range map[string]string{"hashsize": "150016", "tcp_timeout_established": "86400"} {
		t.Log(begin.waitDrift(t, setting, found).get("MESSAGE"))
	}
	waitApplied(t, prompt, want)
}

// TestOwnerTunedHold: TuneD sets max when it starts and when its profile changes, and succeeds each time. Writes of
// Python in general are absorbed as those of other programs.
func TestOwnerTunedHold(t *testing.T) {
	const python = "import sys\nfor i in range(2000):\n  with open(sys.argv[1], 'w') as f: f.write(str(i))\n"
	for profile, max := range map[string]string{"e2e": "100000", "e2e2": "90000"} {
		writeFile(t, "/etc/tuned/"+profile+"/tuned.conf",
			"[main]\nsummary=e2e\n[sysctl]\nnet.netfilter.nf_conntrack_max="+max+"\n")
	}
	writeFile(t, "/etc/tuned/active_profile", "e2e\n")
	writeFile(t, "/etc/tuned/profile_mode", "manual\n")
	since := startWithGuard(t, held, status.GuardHolding, systemd.GuardStep)
	const tuned = "tuned.service"
	checkWindow(t, "max", func() int {
		start(t, tuned)
		since.waitFor(t, restarted, "absorbed-write", "max")
		run(t, "tuned-adm", "profile", "e2e2")
		if out := run(t, "tuned-adm", "active"); !strings.Contains(out, "e2e2") {
			t.Errorf("tuned-adm active: %s", out)
		}
		verified, code := try(t, "tuned-adm", "verify")
		t.Logf("tuned-adm verify: exit status %d: %s", code, verified)
		if out, err := exec.Command("python3", "-c", python, sysctl("max")).CombinedOutput(); err != nil {
			t.Errorf("python: %v: %s", err, out)
		}
		return 2002
	})
	if entries, count := since.blockedBy(t, "absorbed-write", "max", tuned); entries != 1 || count < 2 {
		t.Errorf("%d entries, %d absorbed writes of TuneD", entries, count)
	}
	run(t, "systemctl", "stop", tuned)
	if !isApplied(usualValues) {
		t.Error("the stop of TuneD changed values")
	}
}
