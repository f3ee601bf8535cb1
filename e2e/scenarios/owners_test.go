//go:build guest && owners

package scenarios

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The scenarios of TestOwners in ../owners_test.go, on a root with the real programs of Debian. Each takes the
// doctor's report, restarts one program, and compares what happened with the report.

// restarted is the longest time until a program has set its values. TuneD is in Python and takes 15 s to start on an
// emulated processor that nothing else uses.
const restarted = 90 * time.Second

// maxRestarts is how often a program is restarted until it has unloaded the module once, as the report says.
const maxRestarts = 4

// marks are values that no program and no kernel sets by itself.
const marks = `settings:
  max: 123456
  hashsize: 20480
  tcp_timeout_established: 7777
  tcp_timeout_close_wait: 77
  udp_timeout: 37
`

// markValues are the live values when marks is applied.
var markValues = map[string]string{
	"max": "123456", "buckets": "20480", "tcp_timeout_established": "7777", "tcp_timeout_close_wait": "77",
	"udp_timeout": "37",
}

// claims is what a report says of the restart of one program.
type claims struct {
	resets bool // it unloads the module
	held   bool // it would, but something holds the module
	values map[string]string
	unsure map[string]bool // names in values that it may leave as they are
}

// sets matches the summary of what a program sets.
var sets = regexp.MustCompile(`^(\S+) (sets|can set|raises) (\S+) to (?:at least )?(\d+) [^,]+, ctkeeper wants `)

// claimsOf returns what a report says of a program.
func claimsOf(t *testing.T, report doctor.Report, program string) claims {
	t.Helper()
	c := claims{values: map[string]string{}, unsure: map[string]bool{}}
	for _, f := range report.Findings {
		t.Logf("%s %s: %s; evidence %v; %s", f.Severity, f.ID, f.Summary, f.Evidence, f.Note)
		found := sets.FindStringSubmatch(f.Summary)
		switch {
		case f.ID == "firewall-restart-resets":
			c.resets = c.resets || strings.Contains(f.Summary, "a restart of "+program+" ")
		case f.ID == "module-held":
			c.held = c.held || strings.Contains(f.Summary, "a restart of "+program+" ")
		case f.ID == "other-owner" && found != nil && found[1] == program:
			name, value := strings.TrimPrefix(found[3], "nf_conntrack_"), number(t, found[4])
			if name == sysfs.Hashsize {
				name, value = "buckets", int(sysfs.RoundHashsize(int64(value)))
			}
			c.values[name], c.unsure[name] = strconv.Itoa(value), found[2] == "can set"
		}
	}
	return c
}

// instance identifies one load of the module: the directory is a new inode after each.
func instance(t *testing.T) uint64 {
	t.Helper()
	info, err := os.Stat("/sys/module/nf_conntrack")
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// ownedHost is a clean host with the configuration marks.
func ownedHost(t *testing.T) {
	t.Helper()
	cleanHost(t)
	writeFile(t, mainFile, marks)
}

// start enables and starts a unit, and stops it when the scenario ends.
func start(t *testing.T, unit string) {
	t.Helper()
	run(t, "systemctl", "enable", "--quiet", unit)
	t.Cleanup(func() {
		run(t, "systemctl", "disable", "--quiet", unit)
		_, _ = try(t, "systemctl", "stop", unit)
		_, _ = try(t, "systemctl", "reset-failed", unit)
		_, _ = try(t, "iptables-legacy", "-F")
	})
	run(t, "systemctl", "start", unit)
}

// checkRestart sets the marks, takes the report, restarts a program, and checks that it did what the report says:
// the module is loaded anew, or it is the same; each value is the one that the report names, or its mark. It returns
// what the report says.
func checkRestart(t *testing.T, program string, restart func()) claims {
	t.Helper()
	t.Logf("%s", run(t, "ctkeeper", "apply"))
	waitApplied(t, prompt, markValues)
	report, _ := runDoctor(t)
	said, before := claimsOf(t, report, program), instance(t)
	restart()
	// firewalld tries once to unload each module, and a rule that was just removed can hold one for a moment.
	for tries := 1; said.resets && instance(t) == before && tries < maxRestarts; tries++ {
		t.Logf("restart %d of %s did not unload the module", tries, program)
		restart()
	}
	want := maps.Clone(markValues)
	maps.Copy(want, said.values)
	deadline := time.Now().Add(restarted)
	for !said.resets && !isApplied(want) && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
	}
	if isNew := instance(t) != before; isNew != said.resets {
		t.Errorf("the restart of %s loaded the module anew: %t; the report says so: %t", program, isNew, said.resets)
	}
	for name, value := range want {
		got := read(name)
		isMark := value == markValues[name]
		switch {
		case said.unsure[name] && got == markValues[name]:
		case said.resets && isMark && got == value:
			t.Errorf("%s is still %s after a reset", name, got)
		case !(said.resets && isMark) && got != value:
			t.Errorf("%s is %s after the restart, want %s", name, got, value)
		}
	}
	return said
}

// restartUnit returns a function that restarts a unit.
func restartUnit(t *testing.T, unit string) func() {
	return func() { run(t, "systemctl", "restart", unit) }
}

// TestOwnerFirewalld: firewalld unloads conntrack when it stops, or not, by its options, and by what else holds the
// module. It does so with each backend, and with each iptables that its backend finds.
func TestOwnerFirewalld(t *testing.T) {
	for _, c := range []struct {
		name, backend, iptables, cleanup string
		resets, held                     bool
	}{
		{name: "nftables", backend: "nftables", iptables: "nft", cleanup: "yes", resets: true},
		{name: "iptables-legacy", backend: "iptables", iptables: "legacy", cleanup: "yes", resets: true},
		{name: "iptables-nft", backend: "iptables", iptables: "nft", cleanup: "yes", resets: true},
		{name: "another table", backend: "nftables", iptables: "nft", cleanup: "yes", held: true},
		{name: "no", backend: "nftables", iptables: "nft", cleanup: "no"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ownedHost(t)
			for _, tool := range []string{"iptables", "ip6tables"} {
				run(t, "update-alternatives", "--set", tool, "/usr/sbin/"+tool+"-"+c.iptables)
			}
			run(t, "sed", "-i", "-e", "s/^CleanupModulesOnExit=.*/CleanupModulesOnExit="+c.cleanup+"/",
				"-e", "s/^FirewallBackend=.*/FirewallBackend="+c.backend+"/", "/etc/firewalld/firewalld.conf")
			if c.held {
				run(t, "nft", "table inet e2e { chain i { type filter hook input priority 0; ct state new; }; }")
			}
			start(t, "firewalld")
			waitFirewalld(t)
			said := checkRestart(t, "firewalld", func() {
				run(t, "systemctl", "restart", "firewalld")
				waitFirewalld(t)
			})
			if said.resets != c.resets || said.held != c.held {
				t.Errorf("the report says: resets %t, held %t; want %t, %t", said.resets, said.held, c.resets, c.held)
			}
		})
	}
}

// waitFirewalld waits until firewalld has loaded its rules. For systemd it has started when it has its name on D-Bus,
// which is before that. Until then a stop kills it, and it unloads nothing.
func waitFirewalld(t *testing.T) {
	t.Helper()
	const name = "org.fedoraproject.FirewallD1"
	eventually(t, restarted, "firewalld has loaded its rules", func() bool {
		out, _ := try(t, "busctl", "get-property", name, "/org/fedoraproject/FirewallD1", name, "state")
		return strings.Contains(out, "RUNNING")
	})
}
