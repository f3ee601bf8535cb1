package boot

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
)

func TestLoadParameters(t *testing.T) {
	h := doctortest.Owned(t)
	h.Modules = kmod.ParseModules([]byte("xt_state 1492 2 - Live 0x0\nnf_conntrack 79206 1 xt_state, Live 0x0\n"))
	h.Parameters = map[string]string{"expect_hashsize": "256"}
	users := kmod.Users(h.Modules, kmod.Conntrack)
	want := finding.Finding{
		ID: "load-parameter-differs", Severity: finding.Warning,
		Summary: "the module is loaded with other parameters, which only a reload changes: expect_hashsize is 256, " +
			"ctkeeper wants 2048",
		Evidence: []finding.Evidence{
			finding.Seen("/sys/module/nf_conntrack/parameters/expect_hashsize", 0, "256"),
			finding.Seen(doctortest.MainFile, 6, "expect_hashsize: 2048"),
			finding.Seen("/proc/modules", 0, "nf_conntrack is used by "+strings.Join(users, ", ")),
		},
		Note: "The next boot applies them. To apply them now: stop the firewall, modprobe -r " + strings.Join(users,
			" ") + " nf_conntrack, start the firewall. Every tracked connection is lost.",
	}
	doctortest.Check(t, checkParameters(h), []finding.Finding{want})
	h.Parameters = map[string]string{"expect_hashsize": "2048"}
	doctortest.Check(t, checkParameters(h), nil)
	h.Module.State = kmod.BuiltIn
	h.Parameters = map[string]string{"expect_hashsize": "256"}
	doctortest.Check(t, checkParameters(h), nil)
}

func TestBootFilesStale(t *testing.T) {
	h := doctortest.Owned(t)
	host := tree.At(t.TempDir())
	plan := func() { h.BootPlan, h.BootPlanErr = persist.NewPlan(host, h.Config, persist.Options{}) }
	plan()
	f := doctortest.Find(t, checkBootFiles(h), "boot-files-stale")
	if f.Severity != finding.Info || f.Summary != "the boot files are not written: until ctkeeper runs, the module "+
		"has other values after it is loaded" {
		t.Errorf("nothing written: %s %s", f.Severity, f.Summary)
	}
	if _, err := h.BootPlan.Write(host); err != nil {
		t.Fatal(err)
	}
	plan()
	doctortest.Check(t, checkBootFiles(h), nil)

	h.Config.Module.Parameters[0].Value = "4096"
	plan()
	f = doctortest.Find(t, checkBootFiles(h), "boot-files-stale")
	if f.Severity != finding.Warning || f.Summary != "the boot files are not as configured: "+persist.ModprobePath {
		t.Errorf("stale: %s %s", f.Severity, f.Summary)
	}
	if len(f.Evidence) != 1 || !strings.Contains(f.Evidence[0].Text, "expect_hashsize=4096") {
		t.Errorf("evidence %+v", f.Evidence)
	}
	if diff := cmp.Diff(doctortest.Commands("ctkeeper persist"), f.Fix); diff != "" {
		t.Errorf("fix (-want +got):\n%s", diff)
	}

	doctortest.Put(t, host.Root(), map[string]string{
		strings.TrimPrefix(persist.ModprobePath, "/"): "options nf_conntrack hashsize=1\n",
	})
	plan()
	doctortest.Find(t, checkBootFiles(h), "boot-files-refused")

	h.Config, h.Env.Installed = doctortest.Bare(h).Config, false
	doctortest.Check(t, checkBootFiles(h), nil) // a host that ctkeeper has nothing to do with
}
