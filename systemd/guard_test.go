package systemd

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	guardConf   = "guard.conf"
	perfmonConf = "guard-perfmon.conf"
	guardDoc    = "../docs/guard.md"
)

// The drop-ins contain these directives and no others. None of them is a condition: the daemon has to start
// where the guard is not available.
func TestGuardDropIns(t *testing.T) {
	for file, want := range map[string]map[string][]string{
		guardConf: {
			"CapabilityBoundingSet": {"CAP_NET_ADMIN CAP_BPF"}, "AmbientCapabilities": {"CAP_NET_ADMIN CAP_BPF"},
			"SystemCallFilter": {"bpf"}, "LimitMEMLOCK": {"8M"},
		},
		perfmonConf: {"CapabilityBoundingSet": {"CAP_NET_ADMIN CAP_PERFMON"},
			"AmbientCapabilities": {"CAP_NET_ADMIN CAP_PERFMON"}},
	} {
		if diff := cmp.Diff(want, directives(t, file)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
		if text := string(readFile(t, file)); strings.Count(text, "\n[") != 1 ||
			!strings.Contains(text, "\n[Service]\n") {
			t.Errorf("%s has other sections than [Service]", file)
		}
	}
}

// With the drop-ins the daemon has the unit's capabilities and the two, whatever the order of
// the files.
func TestGuardRights(t *testing.T) {
	unit, guard, perfmon := directives(t, "ctkeeper.service"), directives(t, guardConf), directives(t, perfmonConf)
	for _, key := range []string{"CapabilityBoundingSet", "AmbientCapabilities"} {
		got := strings.Fields(strings.Join(slices.Concat(unit[key], perfmon[key], guard[key]), " "))
		slices.Sort(got)
		if diff := cmp.Diff([]string{"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"}, slices.Compact(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

// A systemd without the new capability must leave the daemon the old one: a list of only unknown names would
// empty the set. The test uses a name that no systemd has.
func TestGuardUnknownCapability(t *testing.T) {
	root := unitRoot(t, guardConf, perfmonConf)
	for _, file := range []string{guardConf, perfmonConf} {
		name := filepath.Join(root, "etc/systemd/system/ctkeeper.service.d", file)
		text := regexp.MustCompile(`(?m)^([A-Z].*)CAP_(BPF|PERFMON)`).ReplaceAll(readFile(t, name),
			[]byte("${1}CAP_NO_SUCH_THING"))
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := tool(t, "systemd-analyze", "security", "--no-pager", "--offline=yes", "--root="+root, "ctkeeper.service")
	if !strings.Contains(out, "Service has network configuration privileges") {
		t.Errorf("the daemon does not keep CAP_NET_ADMIN:\n%s", out)
	}
}

// TestGuardSyscalls resolves the lists of system calls as systemd.exec(5) says: the first
// line decides that nothing else is allowed, each later one adds or takes away.
func TestGuardSyscalls(t *testing.T) {
	sets := syscallSets(t)
	resolve := func(lines []string) []string {
		allowed := map[string]bool{}
		for _, line := range lines {
			list, taken := strings.CutPrefix(line, "~")
			for _, name := range strings.Fields(list) {
				for _, call := range expand(sets, name) {
					allowed[call] = !taken
				}
			}
		}
		var calls []string
		for call, yes := range allowed {
			if yes {
				calls = append(calls, call)
			}
		}
		slices.Sort(calls)
		return calls
	}
	const key = "SystemCallFilter"
	unit := directives(t, "ctkeeper.service")[key]
	before := resolve(unit)
	if len(before) < 100 || slices.Contains(before, "bpf") || unit[0][0] == '~' {
		t.Fatalf("the unit allows %q", before)
	}
	want := append(slices.Clone(before), "bpf")
	slices.Sort(want)
	if diff := cmp.Diff(want, resolve(slices.Concat(unit, directives(t, perfmonConf)[key],
		directives(t, guardConf)[key]))); diff != "" {
		t.Errorf("system calls with the drop-ins (-want +got):\n%s", diff)
	}
}

// syscallSets are the sets of system calls of this systemd, by name, as they are listed.
func syscallSets(t *testing.T) map[string][]string {
	t.Helper()
	sets, name := map[string][]string{}, ""
	for lines := bufio.NewScanner(strings.NewReader(tool(t, "systemd-analyze", "syscall-filter"))); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, "@"):
			name = line
		case strings.HasPrefix(strings.TrimSpace(line), "#"), strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, " "):
			sets[name] = append(sets[name], strings.TrimSpace(line))
		}
	}
	return sets
}

func expand(sets map[string][]string, name string) []string {
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	var calls []string
	for _, member := range sets[name] {
		calls = append(calls, expand(sets, member)...)
	}
	return calls
}

// The figures of docs/guard.md are those of systemd 252; another version weighs anew, and
// must not come out worse.
func TestGuardSecurity(t *testing.T) {
	doc := string(readFile(t, guardDoc))
	for _, with := range []struct {
		row     string
		dropIns []string
	}{
		{"the shipped unit", nil},
		{"with guard.conf", []string{guardConf}},
		{"with guard-perfmon.conf as well", []string{guardConf, perfmonConf}},
	} {
		match := regexp.MustCompile(`(?m)^\| ` + with.row + ` \| ([0-9.]+) \|`).FindStringSubmatch(doc)
		if match == nil {
			t.Fatalf("%s has no row %q", guardDoc, with.row)
		}
		documented, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		if level, out := exposure(t, service, with.dropIns...); level > documented || level < documented-0.3 {
			t.Errorf("%s: exposure level %.1f, %s says %.1f:\n%s", with.row, level, guardDoc, documented, out)
		}
	}
}

// The lines to paste are the same wherever they stand.
func TestGuardStepsAreSaid(t *testing.T) {
	for file, steps := range map[string][]string{
		guardConf:   {GuardStep, GuardBack},
		perfmonConf: {PerfmonStep, PerfmonBack},
		guardDoc:    {GuardStep, GuardBack, PerfmonStep, PerfmonBack},
	} {
		text := string(readFile(t, file))
		for _, step := range steps {
			if !regexp.MustCompile(`(?m)^(#   |\$ )?` + regexp.QuoteMeta(step) + `$`).MatchString(text) {
				t.Errorf("%s does not have the line\n%s", file, step)
			}
		}
	}
}
