package doctor

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// release is the kernel of the hosts that tests make.
const release = "6.1.0-18-amd64"

// picture takes the picture of the host below root.
func picture(t *testing.T, root string) *Host {
	t.Helper()
	return look(t.Context(), tree.At(root), Options{Root: root, Source: config.Source{Root: root}, Running: running})
}

// running is a daemon that answers.
func running(context.Context) bool { return true }

// put writes files below a root, by their paths without the first slash.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		kerneltree.Put(t, root, name, content)
	}
}

// ids are those of findings, in their order.
func ids(findings []Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.ID)
	}
	return all
}

// find gives the finding of an id; the test fails where there is none.
func find(t *testing.T, findings []Finding, id string) Finding {
	t.Helper()
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no finding %s among %q", id, ids(findings))
	}
	return findings[i]
}

// wants holds findings against those that are wanted; nil and empty lists are the
// same.
func wants(t *testing.T, got, want []Finding) {
	t.Helper()
	plain := func(list []Finding) []Finding {
		var out []Finding
		for _, f := range list {
			if len(f.Fix) == 0 {
				f.Fix = nil
			}
			if len(f.Evidence) == 0 {
				f.Evidence = nil
			}
			out = append(out, f)
		}
		return out
	}
	if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// moduleTree is a Debian host whose configuration asks for nf_conntrack, whose files are
// all in order, and on which the module is absent all the same.
func moduleTree(t *testing.T) string {
	t.Helper()
	root := kerneltree.New(t)
	kerneltree.Unload(t, root)
	put(t, root, map[string]string{
		"etc/os-release":              "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/ctkeeper/ctkeeper.yaml":  "settings: {max: 65536}\nmodule: {load: true}\n",
		"proc/sys/kernel/osrelease":   release + "\n",
		"proc/cmdline":                "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 quiet\n",
		"proc/modules":                "",
		"run/systemd/system/.keep":    "",
		"var/log/kern.log":            "",
		"usr/bin/kmod":                "",
		"usr/sbin/update-initramfs":   "",
		"etc/default/grub":            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n",
		"etc/modprobe.d/dummies.conf": "options dummy numdummies=1\n",
	})
	putKernel(t, root, release)
	return root
}

// putKernel installs the modules of a kernel release.
func putKernel(t *testing.T, root, release string) {
	t.Helper()
	dir := "lib/modules/" + release + "/"
	const defrag4, defrag6, crc = "kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko", "kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko", "kernel/lib/libcrc32c.ko"
	const needs, ct = defrag6 + " " + defrag4 + " " + crc, "kernel/net/netfilter/nf_conntrack.ko"
	magic := "vermagic=" + release + " SMP preempt mod_unload "
	dep := ct + ": " + needs + "\n"
	for _, file := range []string{defrag4, defrag6, crc, "kernel/net/netfilter/x_tables.ko", "kernel/net/netfilter/nf_tables.ko"} {
		kerneltree.Put(t, root, dir+file, string(kerneltree.Sign(kerneltree.KO(magic))))
		dep += file + ":\n"
	}
	kerneltree.Put(t, root, dir+ct, string(kerneltree.Sign(kerneltree.KO(
		magic, "depends=nf_defrag_ipv6,libcrc32c,nf_defrag_ipv4",
		"parmtype=acct:bool", "parmtype=tstamp:bool", "parmtype=expect_hashsize:uint", "parmtype=enable_hooks:bool",
	))))
	for user, family := range map[string]string{"xt_conntrack": "x_tables", "xt_state": "x_tables", "nft_ct": "nf_tables"} {
		file := "kernel/net/netfilter/" + user + ".ko"
		kerneltree.Put(t, root, dir+file, string(kerneltree.Sign(kerneltree.KO(magic, "depends=nf_conntrack,"+family))))
		dep += file + ": kernel/net/netfilter/" + family + ".ko " + ct + " " + needs + "\n"
	}
	put(t, root, map[string]string{dir + "modules.dep": dep, dir + "modules.builtin": "kernel/fs/ext4/ext4.ko\n", dir + "modules.softdep": ""})
}
