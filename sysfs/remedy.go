package sysfs

import (
	"errors"
	"os"
	"syscall"
)

// Remedy returns why this process cannot write a setting, where Forbidden holds for err, and
// what an operator can do about it.
func (f *Files) Remedy(s *Setting, err error) string {
	switch {
	case errors.Is(err, syscall.EROFS):
		return "/proc/sys is read-only here, as in most containers: run ctkeeper on the host, " +
			"or mount the host's /proc/sys/net at /host/proc/sys/net and /sys/module at /host/sys/module, writable, " +
			"and run it with --path.procfs=/host/proc --path.sysfs=/host/sys"
	case errors.Is(err, syscall.EPERM): // the files themselves answer EACCES
		return "a BPF program on a control group refuses the write, " +
			"as the guard of a running ctkeeper does (guard: lock): " +
			"change its configuration and run systemctl reload ctkeeper"
	case s.Global && f.inChildNamespace():
		return "hashsize, max and expect_max belong to the host's initial network namespace: " +
			"run ctkeeper there (on the host, or with the host's network)"
	default:
		return "writing needs CAP_NET_ADMIN over this network namespace: run ctkeeper as root or as its systemd service"
	}
}

// inChildNamespace reports whether this is another network namespace than the initial one:
// there the kernel leaves out the alias net.nf_conntrack_max (nf_conntrack_standalone_init_sysctl).
func (f *Files) inChildNamespace() bool {
	_, err := f.host.Stat("/" + sysctlFile(Max))
	_, aliasErr := f.host.Stat("/" + aliasFile)
	return err == nil && errors.Is(aliasErr, os.ErrNotExist)
}
