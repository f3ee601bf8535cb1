package setup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// modeOf returns the mode that the configuration has.
func modeOf(t *testing.T, root string) config.GuardMode {
	t.Helper()
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Guard.Mode
}

// left returns which of the three files exist, and fails the test if one is not for everybody to read.
func left(t *testing.T, root string) string {
	t.Helper()
	var names []string
	for _, path := range []string{systemd.GuardDropIn, systemd.PerfmonDropIn, ConfigDropIn} {
		if info, err := os.Stat(filepath.Join(root, path)); err == nil {
			names = append(names, filepath.Base(path))
			if info.Mode().Perm() != 0o644 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
		}
	}
	return strings.Join(names, " ")
}

// TestSteps turns the guard on and off several times in a row. Each step is made twice: the second one changes nothing.
func TestSteps(t *testing.T) {
	yes, no := true, false
	root := kerneltree.New(t)
	kerneltree.Put(t, root, config.DefaultMain, "settings: {max: 65536}\n")
	host := tree.At(root)
	for _, step := range []struct {
		opts       Options
		mode       config.GuardMode
		left       string
		unit, conf bool
	}{
		{Options{}, config.GuardWatch, "guard.conf 90-guard.yaml", true, true},
		{Options{Mode: config.GuardHold}, config.GuardHold, "guard.conf 90-guard.yaml", false, true},
		{Options{Perfmon: &yes}, config.GuardWatch, "guard.conf guard-perfmon.conf 90-guard.yaml", true, true},
		{Options{Mode: config.GuardLock}, config.GuardLock, "guard.conf guard-perfmon.conf 90-guard.yaml", false, true},
		{Options{Mode: config.GuardLock, Perfmon: &no}, config.GuardLock, "guard.conf 90-guard.yaml", true, false},
		{Options{Mode: config.GuardOff}, config.GuardOff, "", true, true},
	} {
		plan, err := NewPlan(host, config.Source{Root: root}, step.opts)
		if err != nil {
			t.Fatal(err)
		}
		if unit, conf := plan.Changes(); unit != step.unit || conf != step.conf || plan.Mode != step.mode {
			t.Errorf("%+v: mode %s, unit %t, configuration %t", step, plan.Mode, unit, conf)
		}
		if _, err := plan.Apply(host); err != nil {
			t.Fatal(err)
		}
		if got, mode := left(t, root), modeOf(t, root); got != step.left || mode != step.mode {
			t.Errorf("%+v: left %q, mode %s", step, got, mode)
		}
		again, err := NewPlan(host, config.Source{Root: root}, step.opts)
		if err != nil || again.Diff() != "" {
			t.Errorf("%+v: a second time: %v\n%s", step, err, again.Diff())
		}
	}
}

// TestConfigured uses the mode that a file of the administrator has, and overrides it only where another is named.
func TestConfigured(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Put(t, root, config.DefaultMain, "settings: {max: 65536}\nguard: {mode: lock, allow: [a.service]}\n")
	host := tree.At(root)
	for _, step := range []struct {
		mode, want config.GuardMode
		left       string
	}{
		{"", config.GuardLock, "guard.conf"},
		{config.GuardHold, config.GuardHold, "guard.conf 90-guard.yaml"},
		{"", config.GuardLock, "guard.conf"},
		{config.GuardOff, config.GuardOff, "90-guard.yaml"},
		{config.GuardLock, config.GuardLock, "guard.conf"},
	} {
		plan, err := NewPlan(host, config.Source{Root: root}, Options{Mode: step.mode})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Apply(host); err != nil {
			t.Fatal(err)
		}
		if got, mode := left(t, root), modeOf(t, root); got != step.left || mode != step.want {
			t.Errorf("%+v: left %q, mode %s", step, got, mode)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		path, text, want string
		isForeign        bool
	}{
		"a drop-in of somebody else": {systemd.GuardDropIn, "[Service]\n",
			"cannot change " + systemd.GuardDropIn + ": not written by ctkeeper: move it away first", true},
		"a configuration drop-in of somebody else": {ConfigDropIn, "guard: lock\n",
			"cannot change /etc/ctkeeper/conf.d/90-guard.yaml: not written by ctkeeper: move it away first", true},
		"a later drop-in": {"/etc/ctkeeper/conf.d/95-site.yaml", "\nguard: lock\n",
			"cannot set guard: hold in /etc/ctkeeper/conf.d/90-guard.yaml: /etc/ctkeeper/conf.d/95-site.yaml:2 has " +
				"guard: lock and is read later: change that line", false},
	} {
		t.Run(name, func(t *testing.T) {
			root := kerneltree.New(t)
			kerneltree.Put(t, root, test.path, test.text)
			_, err := NewPlan(tree.At(root), config.Source{Root: root}, Options{Mode: config.GuardHold})
			if err == nil || err.Error() != test.want || errors.Is(err, ErrForeign) != test.isForeign {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	root := kerneltree.New(t)
	kerneltree.Put(t, root, config.DefaultMain, "settngs: {}\n")
	var refused config.Errors
	if _, err := NewPlan(tree.At(root), config.Source{Root: root}, Options{}); !errors.As(err, &refused) {
		t.Errorf("a broken configuration: %v", err)
	}
}

// TestAllOrNothing makes the last file fail, and finds the others as they were.
func TestAllOrNothing(t *testing.T) {
	root := kerneltree.New(t)
	host := tree.At(root)
	before := "# guard.conf: of an older version\n"
	kerneltree.Put(t, root, systemd.GuardDropIn, before)
	plan, err := NewPlan(host, config.Source{Root: root}, Options{Mode: config.GuardHold})
	if err != nil {
		t.Fatal(err)
	}
	kerneltree.Put(t, root, "/etc/ctkeeper/conf.d", "a file in the place of the directory")
	if changed, err := plan.Apply(host); err == nil || changed != nil {
		t.Fatalf("changed %q, error %v", changed, err)
	}
	text, err := host.Read(systemd.GuardDropIn, maxFileSize)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, string(text)); diff != "" {
		t.Errorf("guard.conf (-want +got):\n%s", diff)
	}
}
