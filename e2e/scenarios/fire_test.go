//go:build guest

package scenarios

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// onFire has small tables and timeouts that keep entries for the whole scenario, and a guard that names writers.
const onFire = small + "guard: watch\n"

// problemTime is the longest time until a problem is in the status: two looks at the tables.
const problemTime = 30 * time.Second

// TestFire: a full table, a contested limit, a full table of expectations and a refused configuration, all at once.
// Each view begins with what is wrong, since when, by whom, and what to do.
func TestFire(t *testing.T) {
	startGuard(t, onFire, status.GuardWatching, systemd.GuardStep)
	makeRouter(t)
	run(t, "modprobe", "nf_conntrack_tftp")
	t.Cleanup(func() { _, _ = try(t, "iptables", "-t", "raw", "-F") })
	run(t, "iptables", strings.Fields("-t raw -A PREROUTING -p udp --dport 69 -j CT --helper tftp")...)
	for _, chain := range []string{"PREROUTING", "OUTPUT"} { // or a full table keeps readers of the page out
		for _, port := range []string{"--sport", "--dport"} {
			run(t, "iptables", strings.Fields("-t raw -A "+chain+" -p tcp "+port+" 9466 -j CT --notrack")...)
		}
	}
	waitApplied(t, prompt, map[string]string{"max": "1000", "expect_max": "20"})
	run(t, "conntrack", "-L", "expect") // loads nf_conntrack_netlink, by which the daemon can count them
	run(t, "systemctl", "start", exporterUnit)
	if text := run(t, "ctkeeper", "status"); !strings.HasPrefix(text, "All 4 settings are in effect; ") {
		t.Errorf("before the fire:\n%s", text)
	}

	began := time.Now()
	startFlows(t, "right", "listen", "7")
	startFlows(t, "left", "tftp", rightAddress, "69", "30")
	// Before evictions: they take connections without a reply, and their expectations with them.
	checkProblem(t, began, status.Problem{
		Severity: status.Critical, About: []string{status.AboutExpectations}, By: "helper tftp",
		Text: "The kernel refuses new expectations of helpers", Do: "Raise expect_max",
	})
	openConnections(t, 960)
	openConnections(t, 60)
	loop := func(name, command string) {
		command = "while :; do " + command + "; sleep 0.05; done"
		run(t, "systemd-run", "--quiet", "--unit="+name, "--", "/bin/sh", "-c", command)
		t.Cleanup(func() { run(t, "systemctl", "stop", name) })
	}
	loop("busy-clients", "ip netns exec left "+helper("flows")+" udp "+rightAddress+" 9 4")
	loop("old-init-script", "echo 990 > "+sysctl("max"))
	writeFile(t, "/etc/ctkeeper/conf.d/50-mistake.yaml", "settings:\n  hashsiez: 4096\n")
	t.Cleanup(func() { _ = os.Remove("/etc/ctkeeper/conf.d/50-mistake.yaml") })

	checkProblem(t, began, status.Problem{
		Severity: status.Critical, About: []string{status.AboutConnections}, Text: "The kernel drops new connections",
		Do: "max and hashsize",
	})
	checkProblem(t, began, status.Problem{
		Severity: status.Critical, About: []string{"max"}, Text: "max is contested", By: "old-init-script.service",
		Do: "Stop that writer",
	})
	checkProblem(t, began, status.Problem{
		Severity: status.Warning, About: []string{status.AboutConfig}, Do: "ctkeeper config check",
		Text: "/etc/ctkeeper/conf.d/50-mistake.yaml:2:3: settings.hashsiez",
	})
	checkViews(t)
}

// checkProblem waits until the status has a problem whose fields contain those of want, and logs after which time.
func checkProblem(t *testing.T, began time.Time, want status.Problem) {
	t.Helper()
	var found status.Problem
	eventually(t, problemTime, "a problem with "+want.Text, func() bool {
		return slices.ContainsFunc(statusDocument(t).Problems, func(p status.Problem) bool {
			found = p
			isDated := !p.Since.IsZero() || want.Severity != status.Critical // root may count before the daemon does
			return slices.Equal(p.About, want.About) && strings.Contains(p.Text, want.Text) && isDated
		})
	})
	t.Logf("after %s: %+v", time.Since(began).Round(100*time.Millisecond), found)
	if found.Severity != want.Severity || !strings.Contains(found.By, want.By) || !strings.Contains(found.Do, want.Do) {
		t.Errorf("want %+v", want)
	}
	if want.Severity == status.Critical && (found.Since.Before(began) || found.Since.After(time.Now())) {
		t.Errorf("it is since %s, want a time after %s", found.Since, began)
	}
}

// checkViews checks that each view begins with the fire, whether or not the kernel dropped a packet at that moment.
func checkViews(t *testing.T) {
	t.Helper()
	const fire = "connection table is full"
	text, _ := try(t, "ctkeeper", "status")
	t.Logf("ctkeeper status:\n%s", text)
	if lines := strings.SplitN(text, "\n", 3); !strings.HasPrefix(text, "critical: ") ||
		!strings.Contains(lines[0]+lines[1], fire) {
		t.Error("ctkeeper status does not begin with the fire")
	}
	if brief, _ := try(t, "ctkeeper", "status", "--brief"); !strings.HasPrefix(brief, "ctkeeper: The ") ||
		!strings.Contains(brief, fire) || strings.Count(brief, "\n") != 1 {
		t.Errorf("ctkeeper status --brief: %s", brief)
	}
	const watch = "stty cols 200 rows 40; timeout --foreground 4 ctkeeper status --watch"
	screen, _ := try(t, "script", "-qec", watch, "/dev/null")
	t.Logf("ctkeeper status --watch: %q", screen)
	if !strings.Contains(screen, fire) {
		t.Error("ctkeeper status --watch does not show the fire")
	}
	var page struct {
		Status status.Document `json:"status"`
	}
	answer := get(t, exporterAddress, "/v1/page", "localhost:9466", http.StatusOK)
	if err := json.Unmarshal([]byte(answer), &page); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(page.Status.Headline, fire) {
		t.Errorf("the page's headline: %s", page.Status.Headline)
	}
}
