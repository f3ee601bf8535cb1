//go:build guest && reboot

package scenarios

import (
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/status"
)

// The scenarios of TestGuardAtBoot in ../guard_boot_test.go.

// guardAfterBoot returns the status of the guard when the service is active.
func guardAfterBoot(t *testing.T) status.Guard {
	t.Helper()
	eventually(t, 4*prompt, "the unit is active", func() bool { return isActive(t) })
	t.Logf("%s", run(t, "ctkeeper", "status"))
	return statusDocument(t).Guard
}

// writeFromContainer writes max as a container would, and waits for the repair and its journal entry.
func writeFromContainer(t *testing.T) {
	t.Helper()
	run(t, "unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", "echo 123456 > "+sysctl("max"))
	took := eventually(t, prompt, "max is repaired", func() bool { return read("max") == "300000" })
	t.Logf("repaired after %s", took)
	eventually(t, prompt, "the drift is in the journal", func() bool {
		out, _ := try(t, "journalctl", "-u", "ctkeeper", "-o", "cat", "CTKEEPER_EVENT=drift", "CTKEEPER_CAUSE=write")
		return strings.Contains(out, "123456")
	})
}

// TestGuardUnderLockdown: with lockdown BPF programs cannot read the kernel's memory. The guard still names writers
// of sysctls, but not who loads the module or writes hashsize through sysfs. It reports that with the reason.
func TestGuardUnderLockdown(t *testing.T) {
	if mode := run(t, "cat", "/sys/kernel/security/lockdown"); !strings.Contains(mode, "[confidentiality]") {
		t.Fatalf("lockdown: %s", mode)
	}
	guard := guardAfterBoot(t)
	if guard.State != status.GuardWatching || !slices.Contains(guard.Names, "unit") {
		t.Errorf("guard: %+v", guard)
	}
	for _, what := range []string{"loads and unloads the module", "hashsize through sysfs"} {
		if why := missingReason(guard, what); !strings.Contains(why, "lockdown") {
			t.Errorf("%s: %q", what, why)
		}
	}
	writeFromContainer(t)
}

// TestGuardHybridCgroups: the guard attaches to the cgroup v2 tree beside those of v1.
func TestGuardHybridCgroups(t *testing.T) {
	if mounts := run(t, "cat", "/proc/self/mountinfo"); !strings.Contains(mounts, "/sys/fs/cgroup/unified ") {
		t.Fatalf("no hybrid layout:\n%s", mounts)
	}
	guard := guardAfterBoot(t)
	if guard.State != status.GuardWatching || !slices.Contains(guard.Names, "unit") {
		t.Errorf("guard: %+v", guard)
	}
	writeFromContainer(t)
	run(t, "systemd-run", "--wait", "--unit=hybrid", "sysctl", "-w", "net.netfilter.nf_conntrack_max=123457")
	eventually(t, prompt, "the unit is named", func() bool {
		out, _ := try(t, "journalctl", "-u", "ctkeeper", "-o", "cat", "CTKEEPER_BY_UNIT=hybrid.service")
		return strings.Contains(out, "123457")
	})
}

// TestGuardLegacyCgroups: without a cgroup v2 tree the service runs as without the guard, and reports what is missing
// and how to get it.
func TestGuardLegacyCgroups(t *testing.T) {
	if mounts := run(t, "cat", "/proc/self/mountinfo"); strings.Contains(mounts, " - cgroup2 ") {
		t.Fatalf("there is a cgroup v2 tree:\n%s", mounts)
	}
	guard := guardAfterBoot(t)
	if guard.State != status.GuardUnavailable || len(guard.Missing) != 1 ||
		!strings.Contains(guard.Missing[0].Hint, "systemd.unified_cgroup_hierarchy=1") {
		t.Errorf("guard: %+v", guard)
	}
	run(t, "sysctl", "-w", "net.netfilter.nf_conntrack_max=123456")
	eventually(t, prompt, "max is repaired", func() bool { return read("max") == "300000" })
	out, _ := try(t, "journalctl", "-u", "ctkeeper", "-o", "cat", "-g", "guard: unavailable")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 1 || !strings.Contains(lines[0], "unified_cgroup_hierarchy") {
		t.Errorf("journal:\n%s", out)
	}
	report, code := runDoctor(t)
	mustFind(t, report, code, "guard-cgroup")
}
