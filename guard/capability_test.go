package guard

import (
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// TestMissingCapabilities: Open and Features name the missing capability, from the errors of the real system calls.
func TestMissingCapabilities(t *testing.T) {
	if !netns.Enter(t) { // a new process, in which no probe is cached yet
		return
	}
	newCgroup(t, "ctkeeper-test-rights") // skips the test on a host without cgroup v2
	tests := []struct {
		name       string
		keep       []int
		missing    []string // the missing features; nil if Open fails
		capability string   // the missing one
	}{
		{"none", nil, nil, CapBPF},
		{"CAP_BPF alone", []int{unix.CAP_BPF}, nil, CapNetAdmin},
		{"CAP_NET_ADMIN alone", []int{unix.CAP_NET_ADMIN}, nil, CapBPF},
		{
			"guard.conf", []int{unix.CAP_BPF, unix.CAP_NET_ADMIN},
			[]string{
				"the network namespace of a write", "who loads and unloads the module",
				"who writes hashsize through sysfs",
			}, CapPerfmon,
		},
	}
	for _, test := range tests {
		withCapabilities(t, test.keep, func() {
			g, err := Open(Options{})
			if test.missing == nil {
				why := (*Unavailable)(nil)
				if !errors.As(err, &why) || why.Capability != test.capability ||
					why.Why != test.capability+" is missing" {
					t.Errorf("%s: %v", test.name, err)
				}
				return
			}
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
				return
			}
			var missing []string
			for _, m := range g.Features().Missing {
				if m.Capability != test.capability {
					t.Errorf("%s: %+v", test.name, m)
				}
				if m.What != "the command of a writer" && m.What != "the pid of a writer" { // depend on the kernel
					missing = append(missing, m.What)
				}
			}
			if diff := cmp.Diff(test.missing, missing); diff != "" {
				t.Errorf("%s: missing (-want +got):\n%s", test.name, diff)
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// withCapabilities runs f on a thread whose effective set has only these capabilities.
func withCapabilities(t testing.TB, capabilities []int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all, some [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		t.Fatal(err)
	}
	for i := range some {
		some[i].Permitted = all[i].Permitted
	}
	for _, n := range capabilities {
		some[n/32].Effective |= 1 << (n % 32)
	}
	if err := unix.Capset(&header, &some[0]); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Capset(&header, &all[0]); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}
