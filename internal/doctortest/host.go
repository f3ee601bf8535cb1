package doctortest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// Release is the kernel of the hosts that tests make.
const Release = "6.1.0-18-amd64"

// Take takes the picture of the host below root.
func Take(t *testing.T, root string) *picture.Host {
	t.Helper()
	return picture.Take(t.Context(), tree.At(root), picture.Options{
		Source: config.Source{Root: root}, Running: Running,
	})
}

// Running is a daemon that answers.
func Running(context.Context) bool { return true }

// Put writes files below a root, by their paths without the first slash.
func Put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		kerneltree.Put(t, root, name, content)
	}
}

// ModuleTree is a Debian host whose configuration asks for nf_conntrack, whose files are
// all in order, and on which the module is absent all the same.
func ModuleTree(t *testing.T) string {
	t.Helper()
	root := kerneltree.New(t)
	kerneltree.Unload(t, root)
	Put(t, root, map[string]string{
		"etc/os-release":              "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
		"etc/ctkeeper/ctkeeper.yaml":  "settings: {max: 65536}\nmodule: {load: true}\n",
		"proc/sys/kernel/osrelease":   Release + "\n",
		"proc/cmdline":                "BOOT_IMAGE=/boot/vmlinuz root=/dev/vda1 quiet\n",
		"proc/modules":                "",
		"run/systemd/system/.keep":    "",
		"var/log/kern.log":            "",
		"usr/bin/kmod":                "",
		"usr/sbin/update-initramfs":   "",
		"etc/default/grub":            "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n",
		"etc/modprobe.d/dummies.conf": "options dummy numdummies=1\n",
	})
	PutKernel(t, root, Release)
	return root
}

// PutKernel installs the modules of a kernel release.
func PutKernel(t *testing.T, root, release string) {
	t.Helper()
	dir := "lib/modules/" + release + "/"
	const (
		defrag4 = "kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko"
		defrag6 = "kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko"
		crc     = "kernel/lib/libcrc32c.ko"
		needs   = defrag6 + " " + defrag4 + " " + crc
		ct      = "kernel/net/netfilter/nf_conntrack.ko"
	)
	magic := "vermagic=" + release + " SMP preempt mod_unload "
	dep := ct + ": " + needs + "\n"
	for _, file := range []string{defrag4, defrag6, crc, "kernel/net/netfilter/x_tables.ko",
		"kernel/net/netfilter/nf_tables.ko"} {
		kerneltree.Put(t, root, dir+file, string(kerneltree.Sign(kerneltree.KO(magic))))
		dep += file + ":\n"
	}
	kerneltree.Put(t, root, dir+ct, string(kerneltree.Sign(kerneltree.KO(
		magic, "depends=nf_defrag_ipv6,libcrc32c,nf_defrag_ipv4",
		"parmtype=acct:bool", "parmtype=tstamp:bool", "parmtype=expect_hashsize:uint", "parmtype=enable_hooks:bool",
	))))
	for user, family := range map[string]string{"xt_conntrack": "x_tables", "xt_state": "x_tables",
		"nft_ct": "nf_tables"} {
		file := "kernel/net/netfilter/" + user + ".ko"
		kerneltree.Put(t, root, dir+file, string(kerneltree.Sign(kerneltree.KO(magic, "depends=nf_conntrack,"+family))))
		dep += file + ": kernel/net/netfilter/" + family + ".ko " + ct + " " + needs + "\n"
	}
	Put(t, root, map[string]string{dir + "modules.dep": dep, dir + "modules.builtin": "kernel/fs/ext4/ext4.ko\n",
		dir + "modules.softdep": ""})
}

const KernelDir = "lib/modules/" + Release + "/"

const OneConf = "etc/modprobe.d/x.conf"

const MainFile = "/etc/ctkeeper/ctkeeper.yaml"

// Owned is a host where a daemon runs with a configuration of max and hashsize, and whose files have assignments.
func Owned(t *testing.T, assignments ...inventory.Assignment) *picture.Host {
	t.Helper()
	yes := true
	return &picture.Host{
		Module:    kmod.Module{State: kmod.Loaded},
		Inventory: inventory.Inventory{Assignments: assignments},
		Config: &config.Config{
			Files: []string{MainFile},
			Desired: reconcile.Desired{Mode: reconcile.Enforce, Wants: []sysfs.Want{
				want(sysfs.Hashsize, sysfs.AtLeast, 65536, 2), want("max", sysfs.Exactly, 1048576, 3),
			}},
			Module: config.Module{Parameters: []config.Parameter{
				{Name: sysfs.ExpectHashsize, Value: "2048", Origin: tree.Place{File: MainFile, Line: 6}},
			}},
		},
		Env: picture.Environment{Systemd: true, Installed: true, Enabled: true, Running: &yes},
	}
}

func want(name string, policy sysfs.Policy, n int64, line int) sysfs.Want {
	return sysfs.Want{
		Setting: sysfs.Lookup(name), Policy: policy, Value: sysfs.Number(n), Origin: tree.Place{File: MainFile,
			Line: line},
	}
}

// Stopped is a host on which nothing keeps the values.
func Stopped(h *picture.Host) *picture.Host {
	no := false
	h.Env.Enabled, h.Env.Running = false, &no
	return h
}

// Uninstalled is a host without the unit.
func Uninstalled(h *picture.Host) *picture.Host {
	h.Env.Installed = false
	return h
}

// Bare is a host that nobody has configured: the embedded default holds.
func Bare(h *picture.Host) *picture.Host {
	floor := want("max", sysfs.AtLeast, 349184, 0)
	floor.Origin.File, floor.Auto = config.DefaultOrigin, true
	h.Config = &config.Config{
		UsesDefault: true, Desired: reconcile.Desired{Mode: reconcile.Enforce, Wants: []sysfs.Want{floor}},
	}
	return h
}

// Sysctl is a line that systemd-sysctl applies at boot.
func Sysctl(file string, line int, key, value string) inventory.Assignment {
	s := sysfs.Lookup(key)
	return inventory.Assignment{
		Place: tree.Place{File: file,
			Line: line}, Name: s.Name, Key: key, Value: value, Tool: "systemd-sysctl", Phase: inventory.AtBoot,
	}
}

// Option is a parameter that a file of modprobe.d sets.
func Option(file string, line int, name, value string) inventory.Assignment {
	return inventory.Assignment{
		Place: tree.Place{File: file,
			Line: line}, Name: name, Parameter: true, Key: name, Value: value,
		Tool: "modprobe", Phase: inventory.AtModuleLoad,
	}
}

const SiteConf = "/etc/sysctl.d/50-site.conf"

const VendorConf = "/usr/lib/sysctl.d/50-vendor.conf"

const NetMax = "net.netfilter.nf_conntrack_max"

const Buckets = "net.netfilter.nf_conntrack_buckets"

const VendorUnit = "usr/lib/systemd/system/ctkeeper.service"

const OwnUnit = "etc/systemd/system/ctkeeper.service"

const DropInFile = "etc/systemd/system/ctkeeper.service.d/50-x.conf"

const WantsLink = "etc/systemd/system/multi-user.target.wants/ctkeeper.service"

const GiB = 1 << 30

// Figures are entries, max, buckets, expectations, expect_max; -9 is not known.
func Figures(n ...int64) table.Figures {
	const unknown = -9
	at := func(i int) *int64 {
		if n[i] == unknown {
			return nil
		}
		return &n[i]
	}
	return table.Figures{Entries: at(0), Max: at(1), Buckets: at(2), Expectations: at(3), ExpectMax: at(4)}
}

// Config returns a configuration of one file, with settings given as name, value. It panics for a setting that
// does not exist.
func Config(settings ...string) *config.Config {
	c := &config.Config{Files: []string{config.DefaultMain}}
	for i := 0; i < len(settings); i += 2 {
		s := sysfs.Lookup(settings[i])
		if s == nil {
			panic("no such setting: " + settings[i])
		}
		c.Wants = append(c.Wants, sysfs.Want{
			Setting: s, Policy: sysfs.Exactly, Value: s.Parse(settings[i+1]),
			Origin: tree.Place{File: config.DefaultMain, Line: 2},
		})
	}
	return c
}

func Log(texts ...string) klog.Log {
	log := klog.Log{Sources: []string{"/dev/kmsg"}}
	for i, text := range texts {
		log.Messages = append(log.Messages, klog.Message{
			Source: tree.Place{File: "/dev/kmsg"}, Text: text,
			At: time.Date(2026, 3, 1, 10, i, 0, 0, time.UTC),
		})
	}
	return log
}

// Commands are steps with a command each, of words between blanks.
func Commands(lines ...string) []finding.Step {
	var steps []finding.Step
	for _, line := range lines {
		steps = append(steps, change.Run(strings.Fields(line)...))
	}
	return steps
}

// Edit is the step that replaces a line.
func Edit(file string, line int, before, after string) finding.Step {
	return finding.Step{Edit: &change.Edit{File: file, Line: line, Old: before, New: after}}
}

// Comment is the step that makes a line a comment.
func Comment(file string, line int, text string) finding.Step {
	return Edit(file, line, text, "# "+text)
}

// Configured are the steps that write a drop-in and apply it where the unit is installed.
func Configured(name string, lines ...string) []finding.Step {
	return append([]finding.Step{change.WriteFile("/etc/ctkeeper/conf.d/"+name, lines...)}, Reload()...)
}

// Reload is the step that applies a configuration where the unit is installed.
func Reload() []finding.Step { return Commands("systemctl reload-or-restart ctkeeper") }

func Service() picture.Environment {
	return picture.Environment{Systemd: true, Installed: true, Enabled: true}
}

// SetFiles sets the files of a host, by their paths without the first slash, and returns their root.
func SetFiles(t *testing.T, h *picture.Host, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	Put(t, root, files)
	h.ReadFiles(tree.At(root))
	return root
}
