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

// Each reason is a sentence of its own; with the right in hand it is not said to be missing.
func TestExplain(t *testing.T) {
	for name, test := range map[string]struct {
		err   error
		right string
		want  string
	}{
		"no tree":     {ErrNoCgroup2, CapBPF, "no cgroup v2 tree is mounted"},
		"no bpf":      {fmt.Errorf("load: %w", unix.ENOSYS), CapBPF, "CONFIG_BPF_SYSCALL"},
		"old":         {fmt.Errorf("load: %w", ebpf.ErrNotSupported), CapBPF, "this kernel does not have what it takes"},
		"hidden":      {errHidden, CapPerfmon, "lockdown"},
		"no modules":  {fmt.Errorf("attach: %w", errNoTracepoint), CapPerfmon, "loads no modules"},
		"no file":     {&fs.PathError{Op: "open", Path: "/cg", Err: fs.ErrNotExist}, CapBPF, "open /cg: "},
		"refused":     {&ebpf.VerifierError{Cause: unix.EACCES, Log: []string{"0: (95) exit", "R0 !read_ok", "processed 1 insns"}}, CapBPF, "R0 !read_ok"},
		"no right":    {&ebpf.VerifierError{Cause: unix.EPERM}, "CAP_NOBODY_HAS", "CAP_NOBODY_HAS is missing"},
		"else":        {errors.New("one\ntwo"), CapBPF, "one"},
		"locked away": {fs.ErrPermission, "", "although the capabilities are there"},
	} {
		var rights []string
		if test.right != "" {
			rights = append(rights, test.right)
		}
		got := explain("it", test.err, rights...)
		if !strings.Contains(got.Why, test.want) || strings.Contains(got.Why, "\n") || got.What != "it" {
			t.Errorf("%s: %+v, want %q", name, got, test.want)
		}
		if missing := strings.HasSuffix(got.Why, " is missing"); missing != (got.Capability != "") {
			t.Errorf("%s: the right is %q", name, got.Capability)
		}
	}
}
