package daemon

import (
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// strictness is what was read of kernel.sysctl_writes_strict. hold needs 1: else the kernel takes a write that
// does not begin at offset 0, and an absorbed write changes the value. The zero value was not read.
type strictness struct{ value, err string }

func readStrictness(files *sysfs.Files) strictness {
	value, err := files.WritesStrict()
	if err != nil {
		return strictness{err: err.Error()}
	}
	return strictness{value: value}
}

func (s strictness) isStrict() bool { return s.value == "1" }

// missing returns why hold has no effect, and what to do about it; nothing where it has, or is not configured.
func (s strictness) missing() []capability.Missing {
	m := capability.Missing{What: "hold", Why: s.err}
	switch {
	case s == strictness{} || s.isStrict():
		return nil
	case s.err == "":
		m.Why = "kernel.sysctl_writes_strict is " + s.value + ", and hold needs 1"
		m.Hint = "sysctl -w kernel.sysctl_writes_strict=1; what sets it at boot is shown by " +
			"grep -rs sysctl_writes_strict /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d /usr/lib/sysctl.d"
	}
	return []capability.Missing{m}
}
