package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ctkeeper/ctkeeper/guard/setup"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// TestGuardOnAndOff turns the guard of a tree on and off. What needs a running systemd is tested in virtual machines
// (e2e/scenarios, TestGuardRights).
func TestGuardOnAndOff(t *testing.T) {
	root := host(t, "settings: {max: 65536}\n")
	files := []string{systemd.GuardDropIn, setup.ConfigDropIn}
	exist := func(wanted bool) {
		t.Helper()
		for _, file := range files {
			if _, err := os.Stat(filepath.Join(root, file)); (err == nil) != wanted {
				t.Errorf("%s: %v, wanted %t", file, err, wanted)
			}
		}
	}
	guard := func(args ...string) result {
		return ctkeeper(t.Context(), append([]string{"guard", "--root", root}, args...)...)
	}
	guard("on", "hold", "--dry-run").wants(t, 0, []string{"+++ " + files[0], "+++ " + files[1], "+guard: hold\n"}, nil)
	exist(false)
	guard("on", "hold").wants(t, 0, []string{"wrote " + files[0], "wrote " + files[1],
		"The guard's mode is hold from the next start of ctkeeper on."}, nil)
	exist(true)
	guard("on", "hold").wants(t, 0, []string{"Nothing to change: the guard's mode is hold.\n"}, nil)
	guard("status").wants(t, 2, []string{"mode:    hold (" + files[1] + ":2)", "ctkeeper is not running"}, nil)
	guard("on", "-o", "json").wants(t, 0, []string{`"mode": "watch"`, `"commands": []`}, nil)
	guard("off").wants(t, 0, []string{"removed " + files[0], "removed " + files[1]}, nil)
	exist(false)
	guard("off").wants(t, 0, []string{"Nothing to change: the guard's mode is off.\n"}, nil)
	guard("status").wants(t, 0, []string{"mode:    off, the default"}, nil)
}

func TestGuardOnErrors(t *testing.T) {
	root := host(t, "settings: {max: 65536}\n")
	kerneltree.Put(t, root, systemd.GuardDropIn, "[Service]\n")
	for name, test := range map[string]struct {
		args   []string
		status int
		stderr string
	}{
		"a file of somebody else": {[]string{"on"}, 1, "not written by ctkeeper: move it away first"},
		"an unknown mode":         {[]string{"on", "holdd"}, 2, `unknown mode "holdd" (did you mean hold?)`},
		"two modes": {
			[]string{"on", "hold", "lock"}, 2,
			`unexpected argument "lock" (see ctkeeper guard on --help)`,
		},
		"no command": {nil, 2, "guard needs a command (off, on, status)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := ctkeeper(t.Context(), append([]string{"guard", "--root", root}, test.args...)...)
			r.wants(t, test.status, nil, []string{test.stderr})
		})
	}
	kerneltree.Put(t, root, "/etc/ctkeeper/ctkeeper.yaml", "guard: maybe\n")
	for _, args := range [][]string{{"on"}, {"off"}, {"status"}} {
		r := ctkeeper(t.Context(), append([]string{"guard", "--root", root}, args...)...)
		r.wants(t, 78, nil, []string{"maybe is not a mode of the guard"})
	}
}
