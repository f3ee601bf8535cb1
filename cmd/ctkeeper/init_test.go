package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// TestInit prints a configuration, writes it in the place of a package's comments, applies it, and finds everything in
// effect.
func TestInit(t *testing.T) {
	packaged, err := os.ReadFile("../../packaging/ctkeeper.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := host(t, string(packaged))
	kerneltree.Put(t, root, "/etc/sysctl.d/50-site.conf", "net.netfilter.nf_conntrack_max = 100000\n")
	ctkeeper(t.Context(), "init", "--root", root).wants(t, 0, []string{
		"\n  max: 100000  # /etc/sysctl.d/50-site.conf:1 (systemd-sysctl)", "; a full table takes 36.6 MiB\n",
		"\n  hashsize: {at_least: auto}  # no file of this host sets it; auto is 100000 here; takes 784 KiB\n",
		"# Who else writes these settings on this host:\n# - systemd-sysctl sets max at boot",
	}, []string{"Nothing is written. Next: the same with --write"})
	written := ctkeeper(t.Context(), "init", "--root", root, "--write")
	written.wants(t, 0, []string{"max: 100000"}, []string{"wrote " + config.DefaultMain})
	if strings.Contains(written.stderr, "systemctl") {
		t.Errorf("a command that changes the running system, not the one in the tree:\n%s", written.stderr)
	}
	for _, command := range []string{"config check", "apply", "status", "diff"} {
		args := map[string][]string{"config check": {"config", "check"}}[command]
		if args == nil {
			args = []string{command}
		}
		if r := ctkeeper(t.Context(), append(args, "--root", root)...); r.status != 0 {
			t.Errorf("%s: %+v", command, r)
		}
	}
	ctkeeper(t.Context(), "init", "--root", root, "--write").wants(t, 1, []string{"max: 100000"},
		[]string{"cannot write /etc/ctkeeper/ctkeeper.yaml: it is more than comments"})
}

// TestPackagedFileLeavesStatusAtZero applies the file that the packages install.
func TestPackagedFileLeavesStatusAtZero(t *testing.T) {
	packaged, err := os.ReadFile("../../packaging/ctkeeper.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root := host(t, string(packaged))
	for _, command := range []string{"apply", "status", "diff", "persist"} {
		if r := ctkeeper(t.Context(), command, "--root", root); r.status != 0 {
			t.Errorf("%s: %+v", command, r)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "/etc/modprobe.d/ctkeeper.conf")); err == nil {
		t.Error("the default is written to the boot files")
	}
}
