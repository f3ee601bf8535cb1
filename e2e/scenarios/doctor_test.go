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
)

// examine runs the doctor and gives its report and exit status.
func examine(t *testing.T) (doctor.Report, int) {
	t.Helper()
	before := modules(t)
	out, code := stdout(t, "ctkeeper", "doctor", "-o", "json")
	var report doctor.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("doctor, exit status %d: %v\n%s", code, err, out)
	}
	if after := modules(t); after != before {
		t.Errorf("the doctor changed the modules: %s, before %s", after, before)
	}
	return report, code
}

// netfilter are the names of the modules that looking at conntrack could load.
// Others come at their own time, by udev.
var netfilter = regexp.MustCompile(`^(x_tables$|nfnetlink|libcrc32c$|(nf|nft|xt|ip|ipt|ip6|ip6t|iptable|ip6table)_)`)

// modules names the modules of netfilter that are loaded.
func modules(t *testing.T) string {
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

// mustFind returns the finding with this id, which must be there, with evidence.
func mustFind(t *testing.T, report doctor.Report, code int, id string) finding.Finding {
	t.Helper()
	var ids []string
	for _, f := range report.Findings {
		ids = append(ids, string(f.Severity)+" "+f.ID)
		if f.ID != id {
			continue
		}
		t.Logf("%s %s: %s; evidence %v; fix %q; %s", f.Severity, f.ID, f.Summary, f.Evidence, f.Fix, f.Note)
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

// mend finds what is wrong, runs the very commands that the finding prints, and
// wants a host without a problem afterwards.
func mend(t *testing.T, id string) {
	t.Helper()
	report, code := examine(t)
	for _, command := range mustFind(t, report, code, id).Fix {
		t.Logf("# %s\n%s", command, run(t, "sh", "-ec", command))
	}
	healthy(t)
}

// healthy wants a report without an error or a warning.
func healthy(t *testing.T) {
	t.Helper()
	report, code := examine(t)
	for _, f := range report.Findings {
		if f.Severity != finding.Info {
			t.Errorf("%s %s: %s; evidence %v; fix %q", f.Severity, f.ID, f.Summary, f.Evidence, f.Fix)
		}
	}
	if code != 0 || !report.Healthy {
		t.Errorf("exit status %d, healthy %t", code, report.Healthy)
	}
}

// expectLoaded wants the module there and the usual values in force.
func expectLoaded(t *testing.T) {
	t.Helper()
	if !loaded() {
		t.Fatal("mended, and the module is not there")
	}
	inForce(t, prompt, usualValues)
}

// patient is a host whose module is to be loaded by the service.
func patient(t *testing.T) { keep(t, loading) }

// TestDoctorHealthy: nothing to say of a host where all is well.
func TestDoctorHealthy(t *testing.T) {
	patient(t)
	expectLoaded(t)
	healthy(t)
}

// TestDoctorBlacklisted: the ways to keep a module out in modprobe.d.
func TestDoctorBlacklisted(t *testing.T) {
	for name, line := range map[string]string{
		"blacklist": "blacklist nf_conntrack\n",
		"install":   "install nf_conntrack /bin/false\n",
		"both":      "# hardening\n  blacklist   nf-conntrack\ninstall nf_conntrack /bin/true # not here\noptions dummy numdummies=1\n",
	} {
		t.Run(name, func(t *testing.T) {
			fresh(t)
			put(t, modprobeD, line)
			put(t, mainFile, loading)
			run(t, "systemctl", "start", unit)
			if loaded() {
				t.Fatal("loaded against modprobe.d")
			}
			mend(t, "module-blacklisted")
			expectLoaded(t)
			content, err := os.ReadFile(modprobeD)
			if err != nil {
				t.Fatal(err)
			}
			if name == "both" && !strings.Contains(string(content), "\noptions dummy numdummies=1\n") {
				t.Errorf("what was none of its business is gone:\n%s", content)
			}
		})
	}
}

// TestDoctorDependencyBlacklisted: an install line keeps out what nf_conntrack needs.
func TestDoctorDependencyBlacklisted(t *testing.T) {
	fresh(t)
	put(t, modprobeD, "install nf_defrag_ipv6 /bin/false\n")
	put(t, mainFile, loading)
	run(t, "systemctl", "start", unit)
	if loaded() {
		t.Fatal("loaded without what it depends on")
	}
	mend(t, "dependency-blacklisted")
	expectLoaded(t)
}

// TestDoctorBadParameter: an option that the module refuses to load with.
func TestDoctorBadParameter(t *testing.T) {
	for name, value := range map[string]string{"word": "nonsense", "range": "99999999999", "memory": "2147483647"} {
		t.Run(name, func(t *testing.T) {
			fresh(t)
			put(t, modprobeD, "options nf_conntrack hashsize="+value+" expect_hashsize=1024\n")
			put(t, mainFile, loading)
			run(t, "systemctl", "start", unit)
			if loaded() {
				t.Fatal("loaded with a bad parameter")
			}
			mend(t, "bad-parameter")
			expectLoaded(t)
			if got := parameter(t, "expect_hashsize"); got != "1024" {
				t.Errorf("expect_hashsize is %s: the good option beside the bad one is lost", got)
			}
		})
	}
}

// installKernelPackage gives the guest's dpkg the package that its conntrack
// modules come from, and its apt an archive that has it.
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

// moduleFile is where modprobe would find a module.
func moduleFile(t *testing.T, name string) string {
	t.Helper()
	out, code := stdout(t, "modinfo", "-n", name)
	if code != 0 {
		t.Fatalf("modinfo -n %s: exit status %d", name, code)
	}
	return strings.TrimSpace(out)
}

// TestDoctorFileRemoved: the module's own file is gone from the disk.
func TestDoctorFileRemoved(t *testing.T) { removed(t, "nf_conntrack", "module-file-missing") }

// TestDoctorDependencyRemoved: so is that of a module it depends on.
func TestDoctorDependencyRemoved(t *testing.T) { removed(t, "nf_defrag_ipv6", "dependency-missing") }

func removed(t *testing.T, module, id string) {
	fresh(t)
	installKernelPackage(t)
	file := moduleFile(t, module)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the scenarios that follow need it, whatever becomes of this one
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Error(err)
		}
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	put(t, mainFile, loading)
	run(t, "systemctl", "start", unit)
	if loaded() {
		t.Fatal("loaded without its file")
	}
	mend(t, id)
	expectLoaded(t)
}

// parameter gives a load-time parameter of the loaded module.
func parameter(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(paramDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(content))
}

// TestDoctorHelpers: who puts expectations into the table is found where the rule
// is: in nft's own helper objects, in the raw table of iptables-nft and of
// iptables-legacy. The doctor loads no module for it (see examine).
func TestDoctorHelpers(t *testing.T) {
	const own = "table ip e2e { ct helper sip-5060 { type \"sip\" protocol udp; }; " +
		"chain pre { type filter hook prerouting priority -300; udp dport 5060 ct helper set \"sip-5060\"; }; }"
	for name, rule := range map[string][]string{
		"nft":             {"nft", own},
		"iptables-nft":    {"iptables-nft", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport", "5060", "-j", "CT", "--helper", "sip"},
		"iptables-legacy": {"iptables-legacy", "-t", "raw", "-A", "PREROUTING", "-p", "udp", "--dport", "5060", "-j", "CT", "--helper", "sip"},
	} {
		t.Run(name, func(t *testing.T) {
			fresh(t)
			put(t, mainFile, usual)
			run(t, "modprobe", "nf_conntrack_sip") // a rule names its helper, and does not always load it
			run(t, rule[0], rule[1:]...)
			t.Cleanup(func() {
				_, _ = try(t, "iptables-legacy", "-t", "raw", "-F")
				flush(t)
				for _, module := range []string{"iptable_raw", "xt_CT", "nft_ct", "nf_conntrack_sip"} {
					_, _ = try(t, "modprobe", "-r", module)
				}
			})
			report, _ := examine(t)
			for _, f := range report.Findings {
				for _, e := range f.Evidence {
					if f.ID == "helpers" && strings.Contains(e.Text, "sip") && !strings.HasPrefix(e.File, "/sys/") {
						t.Logf("%s: %s", e.Place, e.Text)
						return
					}
				}
			}
			t.Errorf("no finding names the rule; findings %+v, not looked at %+v", report.Findings, report.NotLooked)
		})
	}
}
