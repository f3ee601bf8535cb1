package module

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// fault is one problem of a host.
type fault struct {
	// files are written below the root, gone are removed.
	files map[string]string
	gone  []string
	// loaded, builtIn: the module is present in spite of the problem.
	loaded, builtIn bool
	// ids are the findings of Check, without module-not-loaded.
	ids []string
	// keep are parts of the files that no fix removes.
	keep []string
}

const moduleKO = doctortest.KernelDir + "kernel/net/netfilter/nf_conntrack.ko"

const defragKO = doctortest.KernelDir + "kernel/net/ipv6/netfilter/nf_defrag_ipv6.ko"

const kernLog = "var/log/kern.log"

const idle = "settings: {max: 65536}\n"

// logLine is a line of kern.log.
func logLine(text string) string {
	return "2026-03-01T12:00:00.000000+00:00 host kernel: [   12.345678] " + text + "\n"
}

func with(name, content string) map[string]string { return map[string]string{name: content} }

var unsigned = string(kerneltree.KO("vermagic=" + doctortest.Release + " SMP preempt mod_unload "))

// faults are by the names of their golden files.
var faults = map[string]fault{
	"healthy":        {loaded: true},
	"not-loaded":     {},
	"not-configured": {files: with("etc/ctkeeper/ctkeeper.yaml", idle)},
	// Blocked by modprobe.d.
	"blacklist": {files: with(doctortest.OneConf, "# hardening\n  blacklist   nf-conntrack\n"),
		ids: []string{"module-blacklisted"}},
	"blacklist-not-configured": {files: map[string]string{doctortest.OneConf: "blacklist nf_conntrack\n",
		"etc/ctkeeper/ctkeeper.yaml": idle}, ids: []string{"module-blacklisted"}},
	"blacklist-package": {files: with("usr/lib/modprobe.d/x.conf", "blacklist nf_conntrack\n"),
		ids: []string{"module-blacklisted"}},
	"blacklist-others": {files: with(doctortest.OneConf,
		"blacklist nf_conntrack_sip\nblacklist nf_conn\n# blacklist nf_conntrack\n")},
	"blacklist-hostile": {files: with("etc/modprobe.d/a'b $(reboot)\x1b[2J.conf",
		"blacklist nf_conntrack\n"), ids: []string{"module-blacklisted"}},
	"install": {files: with(doctortest.OneConf,
		"blacklist nf_conntrack\ninstall nf-conntrack /bin/true # not here\noptions dummy "+
			"x=1\n"), ids: []string{"module-blacklisted"}, keep: []string{"options dummy x=1"}},
	"install-pattern": {files: with(doctortest.OneConf, "install nf_conn* /bin/false\n"),
		ids: []string{"module-blacklisted"}},
	"install-continued": {files: with(doctortest.OneConf,
		"options dummy \\\n x=1\ninstall \\\n  nf_conntrack \\\n "+
			"/bin/false\n"), ids: []string{"module-blacklisted"}, keep: []string{" x=1"}},
	"install-loads": {files: with(doctortest.OneConf,
		"install nf_conntrack /sbin/modprobe --ignore-install nf_conntrack && /sbin/sysctl -p\n")},
	"blacklist-cmdline": {files: with("proc/cmdline", "quiet modprobe.blacklist=nf_conntrack\n"),
		ids: []string{"module-blacklisted"}},
	"refused-cmdline": {files: with("proc/cmdline", "quiet module_blacklist=floppy,nf_conntrack\n"),
		ids: []string{"module-blacklisted"}},
	"dependency-install": {files: with(doctortest.OneConf, "install nf_defrag_ipv6 /bin/false\n"),
		ids: []string{"dependency-blacklisted"}},
	"dependency-refused": {files: with("proc/cmdline", "module_blacklist=libcrc32c\n"),
		ids: []string{"dependency-blacklisted"}},
	"dependency-blacklist": {files: with(doctortest.OneConf, "blacklist nf_defrag_ipv4\n"),
		ids: []string{"dependency-blacklisted"}},
	"softdep-blacklist": {files: map[string]string{doctortest.OneConf: "blacklist crc32c\nblacklist " +
		"nf_conntrack_sip\n", doctortest.KernelDir +
		"modules.softdep": "softdep libcrc32c pre: crc32c " +
		"crc32c-alias\n"}, loaded: true, ids: []string{"softdep-missing"}},
	"softdep-missing": {files: with(doctortest.OneConf,
		"softdep nf_conntrack pre: nf_nothing post: libcrc32c\n"), loaded: true, ids: []string{"softdep-missing"}},
	// No more modules can be loaded.
	"modules-disabled": {
		files: map[string]string{"proc/sys/kernel/modules_disabled": "1\n",
			"etc/sysctl.d/99-hard.conf": "kernel.kptr_restrict = 2\nkernel.modules_disabled = 1\n"},
		ids: []string{"modules-disabled"}, keep: []string{"kernel.kptr_restrict = 2"},
	},
	"modules-disabled-by-hand": {files: with("proc/sys/kernel/modules_disabled", "1\n"),
		ids: []string{"modules-disabled"}},
	"modules-disabled-cmdline": {
		files: map[string]string{"proc/sys/kernel/modules_disabled": "1\n",
			"proc/cmdline": "sysctl.kernel.modules_disabled=1\n"}, ids: []string{"modules-disabled"},
	},
	"modules-disabled-after": {files: with("proc/sys/kernel/modules_disabled", "1\n"), loaded: true,
		ids: []string{"modules-disabled"}},
	"modules-disabled-next": {files: with("usr/lib/sysctl.d/99-hard.conf", "kernel/modules_disabled=1\n"),
		ids: []string{"modules-disabled"}},
	// The kernel and its files.
	"kernel-updated": {gone: []string{doctortest.KernelDir},
		files: with("lib/modules/6.1.0-100-amd64/modules.dep", ""), ids: []string{"kernel-not-installed"}},
	"kernel-updated-loaded": {gone: []string{doctortest.KernelDir},
		files: with("lib/modules/6.1.0-100-amd64/modules.dep",
			""), loaded: true, ids: []string{"kernel-not-installed"}},
	"kernel-older": {gone: []string{doctortest.KernelDir},
		files: with("lib/modules/6.1.0-9-amd64/modules.dep", ""), ids: []string{"kernel-not-installed"}},
	"kernel-none": {gone: []string{"lib/modules"}, ids: []string{"kernel-not-installed"}},
	"kernel-left-over": {gone: []string{doctortest.KernelDir},
		files: with(doctortest.KernelDir+"modules.order", ""), ids: []string{"kernel-not-installed"}},
	"container":    {gone: []string{"lib/modules"}, files: with("run/systemd/container", "lxc\n")},
	"file-removed": {gone: []string{moduleKO}, ids: []string{"module-file-missing"}},
	"file-damaged": {files: with(moduleKO, "\x7fELF and no more"), ids: []string{"module-file-missing"}},
	"file-of-another-package": {
		gone: []string{moduleKO}, ids: []string{"module-file-missing"},
		files: map[string]string{doctortest.KernelDir + "modules.dep": "kernel/net/netfilter/x_tables.ko:\n",
			"etc/os-release": "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=24.04\n"},
	},
	"dependency-removed": {gone: []string{defragKO}, ids: []string{"dependency-missing"}},
	"dependency-unlisted": {
		gone: []string{defragKO},
		files: with(doctortest.KernelDir+"modules.dep",
			"kernel/net/netfilter/nf_conntrack.ko: kernel/net/ipv4/netfilter/nf_defrag_ipv4.ko "+
				"kernel/lib/libcrc32c.ko\nkernel/net/ipv4/netfilter/nf_defrag_ipv4.ko:\n"+
				"kernel/lib/libcrc32c.ko:\n"),
		ids: []string{"dependency-missing"},
	},
	"index-stale": {files: with(doctortest.KernelDir+"modules.dep",
		"kernel/net/netfilter/x_tables.ko:\n"), ids: []string{"modules-dep-stale"}},
	"wrong-kernel": {files: with(moduleKO,
		string(kerneltree.Sign(kerneltree.KO("vermagic=6.1.0-17-amd64 SMP preempt "+
			"mod_unload ")))), ids: []string{"module-wrong-kernel"}},
	"wrong-kernel-kmod": {files: with(moduleKO,
		string(kerneltree.Sign(kerneltree.KO("vermagic=6.1.0-17-amd64 SMP preempt mod_unload modversions "))))},
	"wrong-kernel-log": {
		files: with(kernLog, logLine("nf_conntrack: version magic '6.1.0-18-amd64 SMP' should be '6.1.0-18-amd64 "+
			"SMP preempt'")), ids: []string{"module-wrong-kernel"},
	},
	"unsigned": {files: with(moduleKO, unsigned)},
	"unsigned-lockdown": {
		files: map[string]string{
			moduleKO: unsigned, "sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
			"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
			kernLog: logLine("Lockdown: modprobe: unsigned module loading is restricted; see man " +
				"kernel_lockdown.7"),
		},
		ids: []string{"module-signature"},
	},
	"signed-by-stranger": {
		files: map[string]string{"sys/module/module/parameters/sig_enforce": "Y\n",
			"proc/cmdline": "module.sig_enforce=1\n", kernLog: logLine("Loading of module with unavailable key " +
				"is rejected")},
		ids: []string{"module-signature"},
	},
	"signed-lockdown": {files: with("sys/kernel/security/lockdown", "[none] integrity confidentiality\n")},
	// Parameters.
	"parameter-word": {
		files: map[string]string{doctortest.OneConf: "options nf_conntrack hashsize=nonsense " +
			"expect_hashsize=1024\n", kernLog: logLine("nf_conntrack: `nonsense' invalid for parameter " +
			"`hashsize'")},
		ids: []string{"bad-parameter"}, keep: []string{"expect_hashsize=1024"},
	},
	"parameter-last": {files: with(doctortest.OneConf,
		"options nf-conntrack acct=1 "+
			"expect-hashsize=99999999999"), ids: []string{"bad-parameter"}, keep: []string{"acct=1"}},
	"parameter-alone": {files: with(doctortest.OneConf, "options nf_conntrack hashsize=-1\n"),
		ids: []string{"bad-parameter"}},
	"parameter-octal": {files: with(doctortest.OneConf, "options nf_conntrack hashsize=08 acct\n"),
		ids: []string{"bad-parameter"}, keep: []string{" acct"}},
	"parameter-quoted": {files: with(doctortest.OneConf, "options nf_conntrack hashsize=\"1 2\" acct\n"),
		ids: []string{"bad-parameter"}, keep: []string{" acct"}},
	"parameter-bare": {files: with(doctortest.OneConf, "options nf_conntrack acct hashsize\n"),
		ids: []string{"bad-parameter"}, keep: []string{" acct"}},
	"parameter-bool": {files: with(doctortest.OneConf, "options nf_conntrack acct=2 hashsize=0x4000\n"),
		ids: []string{"bad-parameter"}, keep: []string{"hashsize=0x4000"}},
	"parameter-true": {files: map[string]string{doctortest.OneConf: "options nf_conntrack acct=true\n",
		kernLog: logLine("nf_conntrack: `true' invalid for parameter `acct'")}, ids: []string{"bad-parameter"}},
	"parameter-memory": {files: map[string]string{doctortest.OneConf: "options nf_conntrack " +
		"hashsize=1073741824\n", kernLog: logLine("modprobe: vmalloc error: size 8589934592, exceeds total " +
		"pages, mode:0xdc0(GFP_KERNEL|__GFP_ZERO)")}, ids: []string{"bad-parameter"}},
	"parameter-2g": {files: with(doctortest.OneConf, "options nf_conntrack hashsize=268435456\n"),
		ids: []string{"bad-parameter"}},
	"parameter-cmdline": {files: with("proc/cmdline", "quiet nf_conntrack.hashsize=lots\n"),
		ids: []string{"bad-parameter"}},
	"parameter-ours": {files: with("etc/modprobe.d/ctkeeper.conf",
		"# Written by ctkeeper persist; changes are lost. See ctkeeper persist --help.\noptions nf_conntrack "+
			"hashsize=1e6\n"), ids: []string{"bad-parameter"}},
	"parameter-good": {files: with(doctortest.OneConf,
		"options nf_conntrack hashsize=+16384 expect_hashsize=0 acct=yes tstamp=on enable_hooks\n")},
	"parameter-unknown": {files: map[string]string{doctortest.OneConf: "options nf_conntrack " +
		"nf_conntrack_max=65536 hashsize=4096\n", kernLog: logLine("nf_conntrack: unknown parameter " +
		"'nf_conntrack_max' ignored")}, ids: []string{"unknown-parameter"}, keep: []string{"hashsize=4096"}},
	"no-memory": {files: map[string]string{doctortest.OneConf: "options nf_conntrack " +
		"hashsize=1048576\n", kernLog: logLine("modprobe: page allocation failure: order:0, " +
		"mode:0xdc0(GFP_KERNEL|__GFP_ZERO)")}, ids: []string{"module-no-memory"}},
	// Part of the kernel image.
	"built-in": {builtIn: true, gone: []string{moduleKO}, ids: []string{"module-built-in"}},
	"built-in-options": {builtIn: true, files: with(doctortest.OneConf, "options nf_conntrack hashsize=4096\n"),
		ids: []string{"module-built-in"}},
	// Modules that firewall rules need.
	"rule-blacklisted": {files: with(doctortest.OneConf, "install nft_ct /bin/false\n"), loaded: true,
		ids: []string{"rule-module-blacklisted"}},
	"rule-missing": {gone: []string{doctortest.KernelDir + "kernel/net/netfilter/xt_state.ko"},
		loaded: true, ids: []string{"rule-module-missing"}},
	"rule-dependency": {gone: []string{doctortest.KernelDir + "kernel/net/netfilter/nf_tables.ko"},
		loaded: true, ids: []string{"rule-module-missing"}},
}

// make returns the root of a host with the problem.
func (f fault) make(t *testing.T) string {
	t.Helper()
	root := doctortest.ModuleTree(t)
	for _, name := range f.gone {
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	doctortest.Put(t, root, f.files)
	if f.loaded || f.builtIn {
		kerneltree.Load(t, root)
	}
	if f.builtIn {
		kerneltree.BuiltIn(t, root)
	}
	return root
}

// plain returns findings as text.
func plain(findings []finding.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		_, _ = fmt.Fprintf(&b, "%s %s: %s\n", f.Severity, f.ID, f.Summary)
		for _, e := range f.Evidence {
			_, _ = fmt.Fprintf(&b, "  %q: %s\n", e.Place.String(), e.Text)
		}
		for _, line := range change.Render(f.Fix, "# ") {
			b.WriteString(line + "\n")
		}
		if f.Note != "" {
			b.WriteString("(" + f.Note + ")\n")
		}
	}
	return b.String()
}

// Each problem is found, no other is, and its text is that of the golden file.
func TestModule(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			root := fault.make(t)
			h := doctortest.Take(t, root)
			findings := Check(h)
			for i, f := range findings {
				findings[i] = fixes.Offer(h, f)
			}
			others := slices.DeleteFunc(slices.Clone(findings),
				func(f finding.Finding) bool { return f.ID == "module-not-loaded" })
			if diff := cmp.Diff(fault.ids, doctortest.IDs(others)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if absent := !fault.loaded && !fault.builtIn; absent != (len(findings) > len(others)) {
				t.Errorf("absent %t, findings %q", absent, doctortest.IDs(findings))
			}
			goldenText(t, filepath.Join("testdata", name+".golden"), plain(findings))
			checkFixes(t, root, fault, findings)
		})
	}
}

func goldenText(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// checkFixes runs the commands that edit files on the tree, twice. Then the files have no evidence left, and still
// have every other line.
func checkFixes(t *testing.T, root string, host fault, findings []finding.Finding) {
	t.Helper()
	var edits []finding.Step
	for _, f := range findings {
		if slices.ContainsFunc(f.Fix, func(s finding.Step) bool { return s.Edit != nil }) {
			edits = append(edits, f.Fix...)
		}
	}
	if len(edits) == 0 {
		return
	}
	for range 2 {
		doctortest.Apply(t, root, edits)
	}
	after := doctortest.Take(t, root)
	for _, f := range Check(after) {
		for _, e := range f.Evidence {
			if strings.Contains(e.File, ".d/") {
				t.Errorf("the fixes left %s: %s: %s", f.ID, e.Place, e.Text)
			}
		}
	}
	for _, trouble := range after.Inventory.Modprobe.Troubles {
		t.Errorf("modprobe cannot read an edited line: %v", trouble)
	}
	for file, content := range host.files {
		for _, keep := range host.keep {
			if strings.Contains(content, keep) && !strings.Contains(doctortest.Read(t, root, file), keep) {
				t.Errorf("%s has lost %q", file, keep)
			}
		}
	}
}

// A finding about a module is an error if a firewall rule needs the module, and a piece of information otherwise.
func TestRuleNeeds(t *testing.T) {
	asks := tree.Place{File: "/etc/iptables/rules.v4", Line: 7}
	for _, name := range []string{"rule-blacklisted", "rule-missing"} {
		h := doctortest.Take(t, faults[name].make(t))
		for _, f := range Check(h) {
			if f.Severity != finding.Info {
				t.Errorf("%s: %s %s, and no rule needs the module", name, f.Severity, f.ID)
			}
		}
		h.Rules.Modules = map[string]tree.Place{"nft_ct": asks, "xt_state": asks}
		f := doctortest.Find(t, Check(h), faults[name].ids[0])
		if f.Severity != finding.Error || f.Evidence[0].Place != asks {
			t.Errorf("%s: %s, evidence %v", name, f.Severity, f.Evidence)
		}
	}
	h := doctortest.Take(t, doctortest.ModuleTree(t))
	h.Rules.Modules = map[string]tree.Place{"xt_helper": asks}
	want := []finding.Finding{{
		ID: "rule-module-missing", Severity: finding.Error, Summary: "kernel " + doctortest.Release +
			" cannot load xt_helper, and every rule that needs it fails",
		Evidence: []finding.Evidence{finding.At(asks, "a rule that needs xt_helper"),
			finding.Seen("/"+doctortest.KernelDir+"modules.dep", 0, "does not list xt_helper")},
		Fix: append(reinstall(h, doctortest.Release)[:2], change.Run("modprobe", "xt_helper")),
	}}
	doctortest.Check(t, checkRuleModules(h), want)
}

// A disk runs no kernel: each installed kernel is checked, and there is no finding about loaded modules.
func TestModuleOfADisk(t *testing.T) {
	root := doctortest.ModuleTree(t)
	doctortest.PutKernel(t, root, "6.1.0-20-amd64")
	for _, dir := range []string{"proc", "sys", "run"} {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	doctortest.Put(t, root, map[string]string{"proc/.keep": "", doctortest.OneConf: "blacklist nf_conntrack\n"})
	if err := os.Remove(filepath.Join(root, moduleKO)); err != nil {
		t.Fatal(err)
	}
	h := doctortest.Take(t, root)
	if diff := cmp.Diff([]string{"module-blacklisted", "module-file-missing"}, doctortest.IDs(Check(h))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if h.Module.State != "" || h.Release != "" || len(h.NotRead) == 0 || h.NotRead[0].File != "/proc" {
		t.Errorf("state %q, release %q, not looked at %v", h.Module.State, h.Release, h.NotRead)
	}
	f := doctortest.Find(t, Check(h), "module-file-missing")
	if slices.ContainsFunc(f.Fix, fixes.LoadModule().Equal) {
		t.Errorf("a module of a kernel that does not run is loaded: %v", f.Fix)
	}
}

func TestCompareReleases(t *testing.T) {
	ordered := []string{"2.6.32-754.el6", "3.10.0-9.el7", "3.10.0-1160.el7", "6.1.0-9-amd64", "6.1.0-18-amd64",
		"6.1.0-18-amd64.1", "6.12.1"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := compareReleases(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s against %s returns %d", a, b, got)
			}
		}
	}
}

func TestModuleState(t *testing.T) {
	h := &picture.Host{Module: kmod.Module{State: kmod.Absent, InTransition: true}}
	if got := notLoaded(h, nil); got != nil {
		t.Errorf("a module that is on its way is missed: %v", got)
	}
}

// A table that the kernel has already is not too large for it.
func TestTooLarge(t *testing.T) {
	const gib = 1 << 30
	tests := []struct {
		buckets int64
		memory  int64
		refused bool
	}{
		{0, gib, false}, {1 << 20, gib, false}, {gib / 8, gib, false}, {gib/8 + 1, gib, true}, {1<<28 - 1, 64 * gib,
			false},
		{1 << 28, 64 * gib, true}, {1<<32 - 1, 64 * gib, true}, {1 << 27, 0, false}, {1 << 28, 0, true},
	}
	for _, test := range tests {
		if why := tooLarge(test.buckets, test.memory); (why != "") != test.refused {
			t.Errorf("%d buckets on %d bytes: %q, want refused %t", test.buckets, test.memory, why, test.refused)
		}
	}
	buckets := int64(1 << 28)
	h := &picture.Host{MemTotal: 64 * gib, Module: kmod.Module{State: kmod.Loaded}}
	o := kmod.Option{Name: "hashsize", Value: "268435456"}
	before := refusal(h, o)
	h.Figures.Buckets = &buckets
	if after := refusal(h, o); before == "" || after != "" {
		t.Errorf("refused for %q; with such a table in place for %q", before, after)
	}
}
