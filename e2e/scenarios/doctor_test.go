//go:build guest

package scenarios

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/change"
)

// runDoctor returns the doctor's report and exit status. It checks that the doctor loaded no module.
func runDoctor(t *testing.T) (doctor.Report, int) {
	t.Helper()
	before := netfilterModules(t)
	out, code := runStdout(t, "ctkeeper", "doctor", "-o", "json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("doctor, exit status %d: %v\n%s", code, err, out)
	}
	if after := netfilterModules(t); after != before {
		t.Errorf("netfilter modules after the doctor: %s, before: %s", after, before)
	}
	return report, code
}

// netfilter matches the modules that reading of conntrack could load. udev may load others at any time.
var netfilter = regexp.MustCompile(`^(x_tables$|nfnetlink|libcrc32c$|(nf|nft|xt|ip|ipt|ip6|ip6t|iptable|ip6table)_)`)

// netfilterModules returns the names of the loaded modules of netfilter.
func netfilterModules(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("/proc/modules")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(content)) {
		if name, _, _ := strings.Cut(line, " "); netfilter.MatchString(name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// mustFind returns the finding with an id. It must exist and have evidence.
func mustFind(t *testing.T, report doctor.Report, code int, id string) finding.Finding {
	t.Helper()
	var ids []string
	for _, f := range report.Findings {
		ids = append(ids, string(f.Severity)+" "+f.ID)
		if f.ID != id {
			continue
		}
		t.Logf("%s %s: %s; evidence %v; fix %v; %s", f.Severity, f.ID, f.Summary, f.Evidence, f.Fix, f.Note)
		if len(f.Evidence) == 0 {
			t.Errorf("%s has no evidence", id)
		}
		if code != 1 {
			t.Errorf("exit status %d with a problem found", code)
		}
		return f
	}
	t.Fatalf("no finding %s, exit status %d: %q", id, code, ids)
	return finding.Finding{}
}

// takeStep takes a step of a fix: it runs what is printed, and makes an edit without patch(1), which the guest may
// not have.
func takeStep(t *testing.T, s finding.Step) {
	t.Helper()
	shown := strings.Join(change.Render([]finding.Step{s}, ""), "\n")
	if s.Edit == nil {
		t.Logf("# %s\n%s", shown, run(t, "sh", "-ec", shown))
		return
	}
	content, err := os.ReadFile(s.Edit.File)
	if err != nil {
		t.Fatal(err)
	}
	lines := append(change.NewText("", string(content)).Lines, "")
	if i := s.Edit.Line - 1; i < 0 || i >= len(lines) || lines[i] != s.Edit.Old {
		t.Fatalf("%s is not about the lines %q", shown, lines)
	}
	lines[s.Edit.Line-1] = s.Edit.New
	writeFile(t, s.Edit.File, strings.TrimSuffix(strings.Join(lines, "\n"), "\n")+"\n")
	t.Log(shown)
}

// checkFix takes the steps of a finding, and checks that the host has no problem afterwards.
func checkFix(t *testing.T, id string) {
	t.Helper()
	report, code := runDoctor(t)
	for _, step := range mustFind(t, report, code, id).Fix {
		takeStep(t, step)
	}
	checkHealthy(t)
}

// checkHealthy checks that the report has neither an error nor a warning.
func checkHealthy(t *testing.T) {
	t.Helper()
	report, code := runDoctor(t)
	for _, f := range report.Findings {
		if f.Severity != finding.Info {
			t.Errorf("%s %s: %s; evidence %v; fix %v", f.Severity, f.ID, f.Summary, f.Evidence, f.Fix)
		}
	}
	if code != 0 || !report.Healthy {
		t.Errorf("exit status %d, healthy %t", code, report.Healthy)
	}
}

// checkLoaded checks that the module is loaded and the usual values are applied.
func checkLoaded(t *testing.T) {
	t.Helper()
	if !isLoaded() {
		t.Fatal("the module is not loaded after the fix")
	}
	waitApplied(t, prompt, usualValues)
}

// startLoading starts the daemon with a configuration that loads the module.
func startLoading(t *testing.T) { startDaemon(t, loading) }

// TestDoctorHealthy: no finding on a host without a problem.
func TestDoctorHealthy(t *testing.T) {
	startLoading(t)
	checkLoaded(t)
	checkHealthy(t)
}

// TestDoctorBlacklisted: the ways to keep a module from being loaded in modprobe.d.
func TestDoctorBlacklisted(t *testing.T) {
	for name, line := range map[string]string{
		"blacklist": "blacklist nf_conntrack\n",
		"install":   "install nf_conntrack /bin/false\n",
		"both": "# hardening\n  blacklist   nf-conntrack\ninstall nf_conntrack /bin/true # not here\n" +
			"options dummy numdummies=1\n",
	} {
		t.Run(name, func(t *testing.T) {
			cleanHost(t)
			writeFile(t, modprobeD, line)
			writeFile(t, mainFile, loading)
			run(t, "systemctl", "start", unit)
			if isLoaded() {
				t.Fatal("the module was loaded against modprobe.d")
			}
			checkFix(t, "module-blacklisted")
			checkLoaded(t)
			content, err := os.ReadFile(modprobeD)
			if err != nil {
				t.Fatal(err)
			}
			if name == "both" && !strings.Contains(string(content), "\noptions dummy numdummies=1\n") {
				t.Errorf("the fix removed another line:\n%s", content)
			}
		})
	}
}

// TestDoctorDependencyBlacklisted: an install line keeps a dependency of nf_conntrack from being loaded.
func TestDoctorDependencyBlacklisted(t *testing.T) {
	cleanHost(t)
	writeFile(t, modprobeD, "install nf_defrag_ipv6 /bin/false\n")
	writeFile(t, mainFile, loading)
	run(t, "systemctl", "start", unit)
	if isLoaded() {
		t.Fatal("the module was loaded without its dependency")
	}
	checkFix(t, "dependency-blacklisted")
	checkLoaded(t)
}

// TestDoctorBadParameter: the module cannot be loaded with an option in modprobe.d.
func TestDoctorBadParameter(t *testing.T) {
	for name, value := range map[string]string{"word": "nonsense", "range": "99999999999", "memory": "2147483647"} {
		t.Run(name, func(t *testing.T) {
			cleanHost(t)
			writeFile(t, modprobeD, "options nf_conntrack hashsize="+value+" expect_hashsize=1024\n")
			writeFile(t, mainFile, loading)
			run(t, "systemctl", "start", unit)
			if isLoaded() {
				t.Fatal("the module was loaded with a bad parameter")
			}
			checkFix(t, "bad-parameter")
			checkLoaded(t)
			if got := parameter(t, "expect_hashsize"); got != "1024" {
				t.Errorf("expect_hashsize is %s, want 1024: the fix removed the valid option too", got)
			}
		})
	}
}

// installKernelPackage installs the package with the conntrack modules, from an archive that the guest's apt can
// reach.
func installKernelPackage(t *testing.T) {
	t.Helper()
	run(t, "apt-get", "-q", "update")
	control, err := os.ReadFile(filepath.Join(os.Getenv("CTKEEPER_E2E_DIR"), "archive", "Packages"))
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Fields(string(control))[1]
	run(t, "apt-get", "-q", "-y", "install", name)
}

// moduleFile returns the file of a module.
func moduleFile(t *testing.T, name string) string {
	t.Helper()
	out, code := runStdout(t, "modinfo", "-n", name)
	if code != 0 {
		t.Fatalf("modinfo -n %s: exit status %d", name, code)
	}
	return strings.TrimSpace(out)
}

// TestDoctorFileRemoved: the file of nf_conntrack is missing.
func TestDoctorFileRemoved(t *testing.T) { testRemovedFile(t, "nf_conntrack", "module-file-missing") }

// TestDoctorDependencyRemoved: the file of a dependency is missing.
func TestDoctorDependencyRemoved(t *testing.T) {
	testRemovedFile(t, "nf_defrag_ipv6", "dependency-missing")
}

func testRemovedFile(t *testing.T, module, id string) {
	cleanHost(t)
	installKernelPackage(t)
	file := moduleFile(t, module)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the next scenarios need it, even if this one fails
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Error(err)
		}
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	writeFile(t, mainFile, loading)
	run(t, "systemctl", "start", unit)
	if isLoaded() {
		t.Fatal("the module was loaded without its file")
	}
	checkFix(t, id)
	checkLoaded(t)
}

// parameter returns a load-time parameter of the loaded module.
func parameter(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(paramDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// TestDoctorHelpers: the doctor finds the rule that assigns a helper, among nft's helper objects and in the raw table
// of iptables-nft and of iptables-legacy. It loads no module for that (see runDoctor).
func TestDoctorHelpers(t *testing.T) {
	const own = "table ip e2e { ct helper sip-5060 { type \"sip\" protocol udp; }; " +
		"chain pre { type filter hook prerouting priority -300; udp dport 5060 ct helper set \"sip-5060\"; }; }"
	const assign = " -t raw -A PREROUTING -p udp --dport 5060 -j CT --helper sip"
	for name, rule := range map[string][]string{
		"nft":             {"nft", own},
		"iptables-nft":    strings.Fields("iptables-nft" + assign),
		"iptables-legacy": strings.Fields("iptables-legacy" + assign),
	} {
		t.Run(name, func(t *testing.T) {
			cleanHost(t)
			writeFile(t, mainFile, usual)
			run(t, "modprobe", "nf_conntrack_sip") // a rule does not always load its helper
			run(t, rule[0], rule[1:]...)
			t.Cleanup(func() {
				_, _ = try(t, "iptables-legacy", "-t", "raw", "-F")
				flushRules(t)
				for _, module := range []string{"iptable_raw", "xt_CT", "nft_ct", "nf_conntrack_sip"} {
					_, _ = try(t, "modprobe", "-r", module)
				}
			})
			report, _ := runDoctor(t)
			for _, f := range report.Findings {
				for _, e := range f.Evidence {
					if f.ID == "helpers" && strings.Contains(e.Text, "sip") && !strings.HasPrefix(e.File, "/sys/") {
						t.Logf("%s: %s", e.Place, e.Text)
						return
					}
				}
			}
			t.Errorf("no finding has the rule: findings %+v, not looked at %+v", report.Findings, report.NotRead)
		})
	}
}
