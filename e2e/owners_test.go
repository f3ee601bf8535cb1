//go:build e2e

package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// ownersRoot has the programs of Debian that set conntrack's values or unload its module. The scenarios start them.
// Docker and TuneD need the memory.
var ownersRoot = rig.Root{
	Packages: []string{"firewalld", "ufw", "shorewall", "tuned", "docker.io", "polkitd", "dbus"},
	Disable: []string{
		"firewalld.service", "ufw.service", "shorewall.service", "tuned.service",
		"docker.service", "docker.socket", "containerd.service",
	},
	Memory: 5000,
}

// TestOwners boots a machine with the real programs of other owners. Its scenarios compare what the doctor says of a
// program with what a restart of that program does.
func TestOwners(t *testing.T) {
	runBesideOthers(t)
	dir := t.TempDir()
	program, tree := filepath.Join(dir, "scenarios"), filepath.Join(dir, "tree")
	buildScenarios(t, "guest,owners", program)
	names := scenarioNames(t, program, "^TestOwner")
	if len(names) == 0 {
		t.Skip("CTKEEPER_E2E_RUN matches none of these")
	}
	machine, err := rig.Prepare(kernelName(), ownersRoot)
	if err != nil {
		t.Fatal(err)
	}
	if err := rig.Install("..", tree); err != nil {
		t.Fatal(err)
	}
	helpers := filepath.Join(dir, "helpers")
	if err := rig.BuildHelpers("helpers", helpers); err != nil {
		t.Fatal(err)
	}
	trees := map[string]string{tree: "/", helpers: rig.GuestDir}
	needsKubeProxy := func(name string) bool { return strings.HasPrefix(name, "TestOwnerKubeProxy") }
	if slices.ContainsFunc(names, needsKubeProxy) {
		kubeProxy, err := rig.KubeProxy()
		if err == nil {
			trees[kubeProxy] = rig.GuestDir
		} else {
			t.Run("kube-proxy", func(t *testing.T) { netns.Cannot(t, "cannot build kube-proxy: %v", err) })
			names = slices.DeleteFunc(names, needsKubeProxy)
		}
	}
	run(t, machine, rig.Guest{
		Trees:   trees,
		Program: program,
		Args:    argumentsFor(names),
	}, names)
}
