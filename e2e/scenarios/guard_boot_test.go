//go:build guest && reboot

package scenarios

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/status"
)

// The boots of TestGuardAtBoot in ../guard_boot_test.go.

// bootedGuard is what the service says of the guard once it is active.
func bootedGuard(t *testing.T) status.Guard {
	t.Helper()
	eventually(t, 4*prompt, "the unit is active", func() bool { return active(t) })
	out, _ := stdout(t, "ctkeeper", "status", "-o", "json")
	var document status.Document
	if err := json.Unmarshal([]byte(out), &document); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", run(t, "ctkeeper", "status"))
	return document.Guard
}

// containerWrites writes max as a container would, waits for the repair and gives the journal's
// sentence of it.
func containerWrites(t *testing.T) string {
	t.Helper()
	run(t, "unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 123456 > /proc/sys/net/netfilter/nf_conntrack_max")
	t.Logf("repaired after %s", eventually(t, prompt, "max is repaired", func() bool { return read("max") == "300000" }))
	said := ""
	eventually(t, prompt, "the drift is in the journal", func() bool {
		out, _ := try(t, "journalctl", "-u", "ctkeeper", "-o", "cat", "CTKEEPER_EVENT=drift", "CTKEEPER_CAUSE=write")
		said = strings.TrimSpace(out)
		return strings.Contains(said, "123456")
	})
	t.Log(said)
	return said
}

// missing tells why the guard lacks something; empty where it does not.
func missing(g status.Guard, what string) string {
	for _, m := range g.Missing {
		if strings.Contains(m.What, what) {
			return m.Why
		}
	}
	return ""
}

// TestGuardUnderLockdown: the kernel hides its memory. Writers are named all the same; who
// loads the module and who writes hashsize through sysfs are not, and that is said with its
// reason.
func TestGuardUnderLockdown(t *testing.T) {
	if mode := run(t, "cat", "/sys/kernel/security/lockdown"); !strings.Contains(mode, "[confidentiality]") {
		t.Fatalf("lockdown: %s", mode)
	}
	guard := bootedGuard(t)
	if guard.State != status.GuardWatching || !slices.Contains(guard.Names, "unit") {
		t.Errorf("guard: %+v", guard)
	}
	for _, what := range []string{"loads and unloads the module", "hashsize through sysfs"} {
		if why := missing(guard, what); !strings.Contains(why, "lockdown") {
			t.Errorf("%s: %q", what, why)
		}
	}
	containerWrites(t)
}

// TestGuardHybridCgroups: the cgroup v2 tree is beside those of v1, and the guard is in it.
func TestGuardHybridCgroups(t *testing.T) {
	if mounts := run(t, "cat", "/proc/self/mountinfo"); !strings.Contains(mounts, "/sys/fs/cgroup/unified ") {
		t.Fatalf("no hybrid layout:\n%s", mounts)
	}
	guard := bootedGuard(t)
	if guard.State != status.GuardWatching || !slices.Contains(guard.Names, "unit") {
		t.Errorf("guard: %+v", guard)
	}
	containerWrites(t)
	run(t, "systemd-run", "--wait", "--unit=hybrid", "sysctl", "-w", "net.netfilter.nf_conntrack_max=123457")
	eventually(t, prompt, "the unit is named", func() bool {
		out, _ := try(t, "journalctl", "-u", "ctkeeper", "-o", "cat", "CTKEEPER_BY_UNIT=hybrid.service")
		return strings.Contains(out, "123457")
	})
}

// TestGuardLegacyCgroups: there is no cgroup v2 tree. The service works as without the guard,
// and says what is missing and how to have it.
func TestGuardLegacyCgroups(t *testing.T) {
	if mounts := run(t, "cat", "/proc/self/mountinfo"); strings.Contains(mounts, " - cgroup2 ") {
		t.Fatalf("there is a cgroup v2 tree:\n%s", mounts)
	}
	guard := bootedGuard(t)
	if guard.State != status.GuardUnavailable || len(guard.Missing) != 1 || !strings.Contains(guard.Missing[0].Hint, "systemd.unified_cgroup_hierarchy=1") {
		t.Errorf("guard: %+v", guard)
	}
	run(t, "sysctl", "-w", "net.netfilter.nf_conntrack_max=123456")
	eventually(t, prompt, "max is repaired", func() bool { return read("max") == "300000" })
	out, _ := try(t, "journalctl", "-u", "ctkeeper", "-o", "cat", "-g", "guard: unavailable")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 1 || !strings.Contains(lines[0], "unified_cgroup_hierarchy") {
		t.Errorf("said:\n%s", out)
	}
	report, code := examine(t)
	mustFind(t, report, code, "guard-cgroup")
}
