package guard

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/capability"
)

// The capabilities that BPF programs need (capabilities(7)).
const (
	CapBPF      = "CAP_BPF"
	CapNetAdmin = "CAP_NET_ADMIN"
	CapPerfmon  = "CAP_PERFMON"
)

// Features are what the guard can report on this kernel with the capabilities of this process.
type Features struct {
	// PID, Comm and Unit are true if the writer of a sysctl is reported with its pid, command and unit.
	PID, Comm, Unit bool
	// Pod is true if a Kubernetes pod is reported with name and namespace.
	Pod bool
	// Netns is true if the network namespace in which a write takes effect is known: writes that take effect in
	// other namespaces than the daemon's are then neither reported nor blocked.
	Netns bool
	// Modules is true if the process that loads or unloads the module is reported; Sysfs, if the
	// process that writes its parameter hashsize is.
	Modules, Sysfs bool
	// Missing are the other features, each with the reason and a hint.
	Missing []capability.Missing
}

// Unavailable is the error of Open on a host where the guard cannot run. The daemon then runs without it.
type Unavailable struct {
	capability.Missing
	err error
}

// Error returns what is not available, and why.
func (e *Unavailable) Error() string { return e.What + " is not available: " + e.Why }

// Unwrap returns the kernel's error.
func (e *Unavailable) Unwrap() error { return e.err }

func unavailable(err error) error {
	return &Unavailable{Missing: describeMissing("the guard", err, CapBPF, CapNetAdmin), err: err}
}

// describeMissing returns why a feature is missing, and how to get it. For a permission error the reason is the first
// of the needed capabilities that this process lacks.
func describeMissing(what string, err error, needed ...string) capability.Missing {
	m := capability.Missing{What: what, Why: firstLine(err)}
	switch {
	case errors.Is(err, ErrNoCgroup2):
		m.Hint = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line, or mount one " +
			"(mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified) and run systemctl reload ctkeeper"
	case errors.Is(err, unix.EMFILE):
		m.Hint = "raise fs.inotify.max_user_instances or the limit of open files (LimitNOFILE=)"
	case errors.Is(err, unix.ENOSYS):
		m.Why = "this kernel has no bpf system call (CONFIG_BPF_SYSCALL)"
	case verifierMessage(err) != "":
		m.Why = "the kernel's verifier rejects the program: " + verifierMessage(err)
	case errors.Is(err, fs.ErrPermission) && slices.Contains(needed, CapBPF) && lacksCapBPF():
		m.Why = "this kernel has no CAP_BPF and no ring buffer (both are in Linux 5.8 and later)"
	case errors.Is(err, fs.ErrPermission):
		for _, name := range needed {
			if !hasCapability(name) {
				m.Why, m.Capability = name+" is missing", name
				return m
			}
		}
		m.Why = "no capability is missing, but the kernel refuses it (possible causes: a system call filter, " +
			"a security module, lockdown; before 5.11 RLIMIT_MEMLOCK): " + unix.EPERM.Error()
	case errors.Is(err, errLockdown):
		m.Why = errLockdown.Error() + " (lockdown in mode confidentiality: /sys/kernel/security/lockdown)"
	case errors.Is(err, errNoTracepoint):
		m.Why = errNoTracepoint.Error()
	case errors.Is(err, ebpf.ErrNotSupported):
		m.Why = "this kernel does not support it: " + m.Why
	}
	return m
}

// firstLine returns the first line of an error.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// verifierMessage returns the verifier's last line, which is its reason to reject a program. It returns "" if
// the error is not from the verifier.
func verifierMessage(err error) string {
	if refused := (*ebpf.VerifierError)(nil); errors.As(err, &refused) {
		for _, line := range slices.Backward(refused.Log) {
			if line != "" && !strings.HasPrefix(line, "processed ") {
				return line
			}
		}
	}
	return ""
}

// lacksCapBPF reports whether the kernel has no CAP_BPF (PR_CAPBSET_READ, prctl(2)).
func lacksCapBPF() bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_BPF, 0, 0, 0)
	return errors.Is(err, unix.EINVAL)
}

// hasCapability reports whether this process has a capability in its effective set. CAP_SYS_ADMIN includes
// CAP_BPF and CAP_PERFMON, which were split off it in 5.8.
func hasCapability(name string) bool {
	switch name {
	case CapBPF:
		return capability.Held(unix.CAP_BPF) || capability.Held(unix.CAP_SYS_ADMIN)
	case CapPerfmon:
		return capability.Held(unix.CAP_PERFMON) || capability.Held(unix.CAP_SYS_ADMIN)
	case CapNetAdmin:
		return capability.Held(unix.CAP_NET_ADMIN)
	}
	return false
}

// raiseMemlock raises the limit of locked memory, which BPF maps count against on kernels before 5.11
// (bpf_map_charge_memlock). Without permission to do so, the unit's LimitMEMLOCK= applies.
func raiseMemlock() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil {
		return
	}
	infinite := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if unix.Setrlimit(unix.RLIMIT_MEMLOCK, &infinite) != nil {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit) // if it is too low, newMaps returns the error
	}
}
