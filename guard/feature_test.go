package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// TestExplain: each error becomes one line, and only a missing capability is reported as missing.
func TestExplain(t *testing.T) {
	rejected := &ebpf.VerifierError{
		Cause: unix.EACCES, Log: []string{"0: (95) exit", "R0 !read_ok", "processed 1 insns"},
	}
	for name, test := range map[string]struct {
		err    error
		needed string
		want   string
	}{
		"no tree":       {ErrNoCgroup2, CapBPF, "no cgroup v2 tree is mounted"},
		"no bpf":        {fmt.Errorf("load: %w", unix.ENOSYS), CapBPF, "CONFIG_BPF_SYSCALL"},
		"old":           {fmt.Errorf("load: %w", ebpf.ErrNotSupported), CapBPF, "this kernel does not support it"},
		"lockdown":      {errLockdown, CapPerfmon, "lockdown"},
		"no modules":    {fmt.Errorf("attach: %w", errNoTracepoint), CapPerfmon, "no loadable modules"},
		"no file":       {&fs.PathError{Op: "open", Path: "/cg", Err: fs.ErrNotExist}, CapBPF, "open /cg: "},
		"refused":       {rejected, CapBPF, "R0 !read_ok"},
		"no capability": {&ebpf.VerifierError{Cause: unix.EPERM}, "CAP_NOBODY_HAS", "CAP_NOBODY_HAS is missing"},
		"other":         {errors.New("one\ntwo"), CapBPF, "one"},
		"no reason":     {fs.ErrPermission, "", "no capability is missing, but the kernel refuses it"},
	} {
		var needed []string
		if test.needed != "" {
			needed = append(needed, test.needed)
		}
		got := describeMissing("it", test.err, needed...)
		if !strings.Contains(got.Why, test.want) || strings.Contains(got.Why, "\n") || got.What != "it" {
			t.Errorf("%s: %+v, want %q", name, got, test.want)
		}
		if missing := strings.HasSuffix(got.Why, " is missing"); missing != (got.Capability != "") {
			t.Errorf("%s: capability %q", name, got.Capability)
		}
	}
}
