//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// oldVersion and newVersion are the versions that TestUpgrade's scenario expects.
const oldVersion, newVersion = "0.1.0~before", "0.1.0+after"

// packageRoot has perl, in which the commands are that a package's scripts call.
var packageRoot = rig.Root{Packages: []string{"init-system-helpers"}}

// TestUpgrade boots a machine without ctkeeper. Its scenario installs a build before this one, and upgrades.
func TestUpgrade(t *testing.T) {
	const scenario = "TestUpgradeUnderLoad"
	if isExcluded(scenario) {
		t.Skip("CTKEEPER_E2E_RUN does not match " + scenario)
	}
	runBesideOthers(t)
	machine, err := rig.Prepare(kernelName(), packageRoot)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "scenarios")
	buildScenarios(t, "guest,upgrade", program)
	trees := map[string]string{}
	for name, version := range map[string]string{"before": oldVersion, "after": newVersion} {
		archive, err := debs.Build("..", filepath.Join(dir, name), version, nil)
		if err != nil {
			t.Fatal(err)
		}
		trees[archive] = rig.GuestDir + "/" + name
	}
	run(t, machine, rig.Guest{
		Trees:   trees,
		Program: program,
		Args:    arguments("^" + scenario + "$"),
	}, []string{scenario})
}
