package main

import (
	"errors"
	"testing"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/status"
)

// What the guard does, or cannot do, is no difference of settings: not in what diff and status
// print of settings, and not in how they exit.
func TestGuardIsNoDifference(t *testing.T) {
	for _, guard := range []string{"watch", "lock", "{mode: lock, allow: [docker.service]}"} {
		const standing = "settings: {max: 65536}\n"
		root := host(t, standing+"guard: "+guard+"\n")
		ctkeeper(t.Context(), "diff", "--root", root).wants(t, 0,
			[]string{"Nothing differs: 1 settings are as wanted."}, nil)
		ctkeeper(t.Context(), "status", "--root", root).wants(t, 0, []string{"not running"}, nil)
	}
	for _, state := range []status.GuardState{
		"", status.GuardOff, status.GuardWatching, status.GuardLocked, status.GuardUnavailable,
	} {
		s := status.Document{
			Daemon: status.Daemon{Running: true, Config: status.Config{OK: true}},
			Module: status.Module{State: kmod.Loaded},
		}
		s.Guard.Mode, s.Guard.State, s.Guard.Error = "lock", state, "CAP_BPF is missing"
		if err := exitStatus(s); err != nil {
			t.Errorf("%s: %v, want exit status 0", state, err)
		}
		s.Daemon.Config.OK = false
		if err, f := exitStatus(s), (failure{}); !errors.As(err, &f) || f.status != exitConfig {
			t.Errorf("%s, configuration refused: %v, want exit status 78", state, err)
		}
	}
}
