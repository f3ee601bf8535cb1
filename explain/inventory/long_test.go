package inventory_test

import (
	"os"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// TestLongFiles reads files of the maximum size, made of the lines that cost most. The result stays
// small enough for people to read.
func TestLongFiles(t *testing.T) {
	const most = 1 << 20
	root := t.TempDir()
	for path, line := range map[string]string{
		"etc/sysctl.d/globs.conf":  "net.netfilter.*=1\n",
		"etc/sysctl.d/words.conf":  "a\n",
		"etc/sysctl.d/old.conf":    "net.ipv4.ip_conntrack_max=1\n",
		"etc/sysctl.conf":          "net.nf_conntrack_max=1\n",
		"etc/rc.local":             "${ $( ` # a\n",
		"etc/udev/rules.d/a.rules": "conntrack\\\n",
		"etc/udev/rules.d/b.rules": "KERNEL==\"nf_conntrack\",",
		"etc/tuned/active_profile": "mine ",
		"etc/tuned/mine/tuned.conf": "[variables]\na=${a}${a}\n[sysctl]\nnet.nf_conntrack_max=${a}\n" +
			"[main]\ninclude=mine\n",
		"etc/sysconfig/iptables-config":  "IPTABLES_SYSCTL_LOAD_LIST=\"conntrack conntrack conntrack\"\n",
		"etc/default/ufw":                "IPT_SYSCTL=/etc/sysctl.conf\n",
		"etc/shorewall/shorewall.conf":   "a=b;",
		"etc/pve/nodes/a/host.fw":        "[OPTIONS]\nnf_conntrack_max: 1\n",
		"etc/docker/daemon.json":         "[",
		"var/lib/kube-proxy/config.conf": "{a: ",
		"etc/rancher/k3s/config.yaml":    "conntrack-min ",
		"proc/cmdline":                   "nf_conntrack.hashsize=1 ",
		"etc/modules":                    "nf_conntrack\n",
	} {
		size := most
		if path == "etc/rc.local" { // each line is parsed several times: 3 s for 1 MiB, ten times that with -race
			size = most / 8
		}
		kerneltree.Put(t, root, path, strings.Repeat(line, size/len(line)))
	}
	if err := os.Chmod(root+"/etc/rc.local", 0o755); err != nil {
		t.Fatal(err)
	}
	got := inventory.Read(tree.At(root))
	if n := len(got.Assignments); n == 0 || n > 20000 {
		t.Errorf("%d assignments", n)
	}
	if n := len(got.Troubles); n == 0 || n > 200 {
		t.Errorf("%d troubles", n)
	}
}
