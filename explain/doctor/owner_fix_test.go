package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// shell runs a command that a finding prints on the host below root: every path of
// it in /etc and /usr is below the root.
func shell(t *testing.T, root, command string) {
	t.Helper()
	moved := strings.NewReplacer(" /etc/", " "+root+"/etc/", " /usr/", " "+root+"/usr/").Replace(command)
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", moved).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", moved, err, out)
	}
}

func content(t *testing.T, root, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFixesDoIt runs the commands, twice: the second time changes nothing.
func TestFixesDoIt(t *testing.T) {
	loses := func(a inventory.Assignment, to inventory.Assignment) inventory.Assignment {
		a.NoEffect = to.Place.String() + " comes later"
		return a
	}
	last := sysctl("/etc/sysctl.d/99-last.conf", 1, netMax, "7")
	opt := "/etc/modprobe.d/x.conf"
	for name, test := range map[string]struct {
		file, before, after string
		findings            func(h *Host) []Finding
		host                *Host
	}{
		"a sysctl line": {
			"/etc/sysctl.d/50-site.conf", "# site\n  " + netMax + " = 65536\nnet.ipv4.ip_forward=1\n",
			"# site\n#   " + netMax + " = 65536\nnet.ipv4.ip_forward=1\n",
			otherOwners, owned(t, sysctl(siteConf, 2, netMax, "65536")),
		},
		"a parameter in the middle": {
			opt, "options nf_conntrack acct=1 hashsize=512 tstamp=1\n", "options nf_conntrack acct=1 tstamp=1\n",
			otherOwners, owned(t, option(opt, 1, "acct", "1"), option(opt, 1, hashsize, "512"), option(opt, 1, "tstamp", "1")),
		},
		"a parameter at the end": {
			opt, "options nf_conntrack acct=1 hashsize=512\n", "options nf_conntrack acct=1\n",
			otherOwners, owned(t, option(opt, 1, "acct", "1"), option(opt, 1, hashsize, "512")),
		},
		"the line that loses": {
			"/etc/sysctl.d/50-site.conf", netMax + "=65536\n", "# " + netMax + "=65536\n",
			contradictions, stopped(owned(t, loses(sysctl(siteConf, 1, netMax, "65536"), last), last)),
		},
		"modules that stay": {
			iptablesConfig, "IPTABLES_MODULES=\"\"\nIPTABLES_MODULES_UNLOAD=\"yes\"\n", "IPTABLES_MODULES=\"\"\nIPTABLES_MODULES_UNLOAD=\"no\"\n",
			firewallRestart, withSwitch(t, neighbour, unloadYes("iptables")),
		},
		"the live value": {
			"/etc/sysctl.d/50-site.conf", netMax + "=65536\n", netMax + "= 1048576\n",
			runtimeOnly, withMax(uninstalled(stopped(owned(t, sysctl(siteConf, 1, netMax, "65536")))), 1048576),
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root, map[string]string{strings.TrimPrefix(test.file, "/"): test.before})
			test.host.Tree = tree.At(root)
			fix := test.findings(test.host)[0].Fix
			if len(fix) != 1 {
				t.Fatalf("fix %q", fix)
			}
			for range 2 {
				shell(t, root, fix[0])
				if diff := cmp.Diff(test.after, content(t, root, test.file)); diff != "" {
					t.Fatalf("after %s (-want +got):\n%s", fix[0], diff)
				}
			}
		})
	}
}

func withMax(h *Host, n int64) *Host {
	h.Figures.Max = &n
	return h
}

// A package's file is left alone: the copy that hides it loses the lines.
func TestFixOfAPackagesFile(t *testing.T) {
	h := owned(t, sysctl(vendorConf, 1, netMax, "4096"), sysctl(vendorConf, 3, buckets, "512"))
	root := h.Tree.Root()
	before := netMax + "=4096\nnet.ipv4.ip_forward=1\n" + buckets + "=512\n"
	put(t, root, map[string]string{strings.TrimPrefix(vendorConf, "/"): before})
	for _, f := range otherOwners(h) {
		shell(t, root, f.Fix[0])
	}
	want := "# " + netMax + "=4096\nnet.ipv4.ip_forward=1\n# " + buckets + "=512\n"
	if diff := cmp.Diff(want, content(t, root, "/etc/sysctl.d/50-vendor.conf")); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, content(t, root, vendorConf)); diff != "" {
		t.Errorf("the package's file (-want +got):\n%s", diff)
	}
}

// Without a line there is one to append, also behind a last line without an end.
func TestFixOfADefault(t *testing.T) {
	s := unloadYes("iptables")
	s.Default, s.Line = true, 0
	h := withSwitch(t, neighbour, s)
	put(t, h.Tree.Root(), map[string]string{"etc/sysconfig/iptables-config": `IPTABLES_MODULES=""`})
	shell(t, h.Tree.Root(), firewallRestart(h)[0].Fix[0])
	want := "IPTABLES_MODULES=\"\"\nIPTABLES_MODULES_UNLOAD=\"no\"\n"
	if diff := cmp.Diff(want, content(t, h.Tree.Root(), iptablesConfig)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
}
