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
	// PID, Comm and Unit are true if the writer of a sysctl is reported with these.
	PID, Comm, Unit bool
	// Modules is true if the process that loads or unloads the module is reported; Sysfs, if the
	// process that writes its parameter hashsize is.
	Modules, Sysfs bool
	// Missing are the other features, each with the reason and a hint.
	Missing []capability.Missing
}

// Unavailable is the error of Open on a host where the guard cannot work. The daemon then runs
// without it.
type Unavailable struct {
	capability.Missing
	err error
}

// Error says what is missing and why.
func (e *Unavailable) Error() string { return e.What + " cannot be had: " + e.Why }

// Unwrap gives the kernel's own error.
func (e *Unavailable) Unwrap() error { return e.err }

func unavailable(err error) error {
	return &Unavailable{Missing: explain("the guard", err, CapBPF, CapNetAdmin), err: err}
}

// explain says why something cannot be had, and how it can: an error of rights is told by the
// first of the rights that it takes and this process lacks.
func explain(what string, err error, takes ...string) capability.Missing {
	m := capability.Missing{What: what, Why: firstLine(err)}
	switch {
	case errors.Is(err, ErrNoCgroup2):
		m.Hint = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line, or mount one (mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified) and run systemctl reload ctkeeper"
	case errors.Is(err, unix.EMFILE):
		m.Hint = "raise fs.inotify.max_user_instances, or the limit of open files (LimitNOFILE=)"
	case errors.Is(err, unix.ENOSYS):
		m.Why = "this kernel has no bpf system call (CONFIG_BPF_SYSCALL)"
	case verifierMessage(err) != "":
		m.Why = "the kernel's verifier refuses the program: " + verifierMessage(err)
	case errors.Is(err, fs.ErrPermission) && slices.Contains(takes, CapBPF) && lacksCapBPF():
		m.Why = "this kernel has no CAP_BPF and no ring buffer (Linux 5.8 brought them)"
	case errors.Is(err, fs.ErrPermission):
		for _, right := range takes {
			if !hasCapability(right) {
				m.Why, m.Capability = right+" is missing", right
				return m
			}
		}
		m.Why = "the kernel refuses it, although the capabilities are there (a system call filter, a security module, lockdown; before 5.11 RLIMIT_MEMLOCK): " + unix.EPERM.Error()
	case errors.Is(err, errHidden):
		m.Why = "the kernel lets no program read its memory (lockdown in mode confidentiality: /sys/kernel/security/lockdown)"
	case errors.Is(err, errNoTracepoint):
		m.Why = errNoTracepoint.Error()
	case errors.Is(err, ebpf.ErrNotSupported):
		m.Why = "this kernel does not have what it takes: " + m.Why
	}
	return m
}

// cause is the first line of an error.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// verdict is the last that the verifier said of a program, which is why it refused it; empty
// where it never came to look at it.
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

// old reports whether the kernel knows no CAP_BPF (PR_CAPBSET_READ, prctl(2)).
func lacksCapBPF() bool {
	_, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_BPF, 0, 0, 0)
	return errors.Is(err, unix.EINVAL)
}

// holds reports whether this process has a capability in effect. CAP_SYS_ADMIN has both of
// those that were split off it in 5.8.
func hasCapability(right string) bool {
	number, known := map[string]int{CapBPF: unix.CAP_BPF, CapNetAdmin: unix.CAP_NET_ADMIN, CapPerfmon: unix.CAP_PERFMON}[right]
	return known && (capability.Held(number) || right != CapNetAdmin && capability.Held(unix.CAP_SYS_ADMIN))
}

// raiseMemlock lets maps be made on kernels before 5.11, which count them against
// RLIMIT_MEMLOCK (bpf_map_charge_memlock). Where it may not, the unit's LimitMEMLOCK= holds.
func raiseMemlock() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil {
		return
	}
	if all := (unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); unix.Setrlimit(unix.RLIMIT_MEMLOCK, &all) != nil {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &limit) // loading says what is wrong
	}
}
