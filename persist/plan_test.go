package persist_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
)

var update = flag.Bool("update", false, "rewrite golden files")

// usual is a configuration that needs every file.
const usual = `settings:
  hashsize: 100000
  max: 300000
  expect_max: 8190
  acct: true
  timestamp: false
  helper: false
  tcp_timeout_established: 2h
module:
  load: true
`

const releaseDir = "usr/lib/modules/6.1.0-50-amd64/"

// debian makes a host with 4 GiB, systemd, the module loaded, and a configuration.
func debian(t *testing.T, yaml string) string {
	t.Helper()
	root := kerneltree.New(t)
	for path, content := range map[string]string{
		"etc/os-release":                            "ID=debian\nVERSION_ID=12\n",
		"etc/default/grub":                          "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n",
		"usr/lib/systemd/systemd-sysctl":            "",
		"proc/sys/kernel/osrelease":                 "6.1.0-50-amd64\n",
		"proc/cmdline":                              "BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet\n",
		"sys/module/nf_conntrack/parameters/acct":   "N\n",
		"sys/module/nf_conntrack/parameters/tstamp": "N\n",
	} {
		kerneltree.Put(t, root, path, content)
	}
	if yaml != "" {
		kerneltree.Put(t, root, config.DefaultMain, yaml)
	}
	return root
}

// putModuleFile puts the module file of kernel 5.10 on the host.
func putModuleFile(t *testing.T, root string) {
	t.Helper()
	ko := kerneltree.KO("parm=acct:Enable accounting.", "parmtype=acct:bool", "parmtype=tstamp:bool",
		"parmtype=expect_hashsize:uint", "parmtype=nf_conntrack_helper:bool", "parmtype=enable_hooks:bool")
	kerneltree.Put(t, root, releaseDir+"modules.dep", "kernel/net/netfilter/nf_conntrack.ko.xz:\n")
	kerneltree.Put(t, root, releaseDir+"kernel/net/netfilter/nf_conntrack.ko.xz", string(kerneltree.Pack(t, ko, ".xz")))
}

func newPlan(t *testing.T, root string, opts persist.Options) (persist.Plan, error) {
	t.Helper()
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return persist.NewPlan(tree.At(root), cfg, opts)
}

// describe returns a plan as text.
func describe(p persist.Plan, err error) string {
	var b strings.Builder
	for _, f := range p.Files {
		if f.Content != nil {
			fmt.Fprintf(&b, "-- %s %04o --\n%s", f.Path, f.Mode, f.Content)
		}
	}
	for _, note := range p.Notes {
		b.WriteString("note: " + note + "\n")
	}
	if err != nil {
		b.WriteString("error: " + strings.ReplaceAll(err.Error(), "\n", "\nerror: ") + "\n")
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// planTests are configurations with what makes a host differ from debian.
var planTests = []struct {
	name, yaml string
	opts       persist.Options
	alter      func(t *testing.T, root string)
}{
	{"usual", usual, persist.Options{}, nil},
	{"sysconfig", usual, persist.Options{Sysconfig: true}, nil},
	{"udev", usual, persist.Options{Udev: true}, nil},
	{
		"udev-at-least", "settings: {hashsize: {at_least: 512}, max: {at_least: 1000}, expect_max: {at_least: 10}, " +
			"udp_timeout: {at_least: 60s}, icmp_timeout: {at_most: 10s}}\n",
		persist.Options{Udev: true}, nil,
	},
	{
		"udev-without-systemd", usual, persist.Options{Udev: true},
		func(t *testing.T, root string) { removeAll(t, root, "usr/lib/systemd") },
	},
	{"module-absent", usual, persist.Options{}, func(t *testing.T, root string) {
		kerneltree.Unload(t, root)
		putModuleFile(t, root)
	}},
	{"kernel-unknown", "settings: {acct: true}\n" + parameters, persist.Options{}, unload},
	{"parameters", "settings: {hashsize: 8192, acct: true, helper: false}\n" + parameters, persist.Options{}, nil},
	{"parameters-5.10", parameters, persist.Options{}, func(t *testing.T, root string) {
		kerneltree.Put(t, root, "sys/module/nf_conntrack/parameters/nf_conntrack_helper", "N\n")
		putModuleFile(t, root) // sysfs does not show enable_hooks, the file does
	}},
	{"built-in", usual, persist.Options{Udev: true}, builtIn},
	{"built-in-of-a-disk", usual, persist.Options{}, func(t *testing.T, root string) {
		kerneltree.Unload(t, root)
		kerneltree.Put(t, root, releaseDir+"modules.dep", "")
		kerneltree.Put(t, root, releaseDir+"modules.builtin", "kernel/net/netfilter/nf_conntrack.ko\n")
	}},
	{"built-in-and-set", "settings: {hashsize: 100000}\n", persist.Options{}, func(t *testing.T, root string) {
		kerneltree.BuiltIn(t, root)
		kerneltree.Put(t, root, "proc/cmdline", "quiet nf_conntrack.hashsize=100000\n")
	}},
	{"too-large", "settings: {hashsize: 8192, expect_max: 2147483647}\n", persist.Options{}, nil},
	{
		"too-large-for-any", "settings: {hashsize: 300000000, max: 5}\n", persist.Options{},
		func(t *testing.T, root string) { kerneltree.Put(t, root, "proc/meminfo", "MemTotal: 134217728 kB\n") },
	},
	{
		"at-least-the-default", "settings: {hashsize: {at_least: 65536}, expect_max: {at_least: 1024}}\n",
		persist.Options{}, nil,
	},
	{
		"at-least-more", "settings: {hashsize: {at_least: 65537}, expect_max: {at_least: 1033}}\n",
		persist.Options{}, nil,
	},
	{
		"at-most", "settings: {hashsize: {at_most: 8192}, expect_max: {at_most: 8192}}\n",
		persist.Options{Udev: true}, nil,
	},
	{"embedded-default", "", persist.Options{Udev: true}, nil},
	{"foreign", usual, persist.Options{}, func(t *testing.T, root string) {
		kerneltree.Put(t, root, persist.ModprobePath, "options nf_conntrack hashsize=1\n")
		kerneltree.Put(t, root, persist.UdevRulePath, "# not planned\n")
	}},
	{
		"a-directory", usual, persist.Options{},
		func(t *testing.T, root string) { kerneltree.Put(t, root, persist.ModprobePath+"/x", "") },
	},
	{"too-long", usual, persist.Options{}, func(t *testing.T, root string) {
		kerneltree.Put(t, root, persist.ModprobePath, persist.Header+"\n"+strings.Repeat("#\n", 1<<20))
	}},
	{"links", usual, persist.Options{}, func(t *testing.T, root string) {
		kerneltree.Put(t, root, "etc/elsewhere", persist.Header+"\n")
		link(t, root, "../elsewhere", persist.ModulesLoadPath)
		link(t, root, "/dev/null", persist.ModprobePath)
	}},
	{
		"a-disk", strings.Replace(usual, "hashsize: 100000", "hashsize: 10000000", 1), persist.Options{},
		func(t *testing.T, root string) { removeAll(t, root, "proc", "sys") },
	},
	{"a-loop", usual, persist.Options{}, func(t *testing.T, root string) {
		link(t, root, "modules-load.d", "etc/modules-load.d")
		link(t, root, "ctkeeper.conf", persist.ModprobePath)
	}},
	{
		"no-place", usual, persist.Options{},
		func(t *testing.T, root string) { kerneltree.Put(t, root, "etc/modules-load.d", "a file\n") },
	},
}

const parameters = "module:\n  parameters: {hashsize: 4096, expect_hashsize: 2048, acct: false, " +
	"nf_conntrack_helper: true, enable_hooks: true}\n"

func TestPlan(t *testing.T) {
	for _, test := range planTests {
		t.Run(test.name, func(t *testing.T) {
			root := debian(t, test.yaml)
			if test.alter != nil {
				test.alter(t, root)
			}
			plan, err := newPlan(t, root, test.opts)
			golden(t, test.name, describe(plan, err))
			checkModprobe(t, plan)
		})
	}
}

// checkModprobe checks that modprobe(8) reads one line of options from the modprobe.d file.
func checkModprobe(t *testing.T, plan persist.Plan) {
	t.Helper()
	for _, f := range plan.Files {
		if f.Path != persist.ModprobePath || f.Content == nil {
			continue
		}
		directives, troubles := kmod.ParseModprobe(f.Path, f.Content)
		if len(directives) != 1 || directives[0].Kind != "options" || len(troubles) != 0 {
			t.Errorf("modprobe reads %+v from it, with the troubles %v", directives, troubles)
		}
	}
}

func unload(t *testing.T, root string) { kerneltree.Unload(t, root) }

func builtIn(t *testing.T, root string) { kerneltree.BuiltIn(t, root) }

func removeAll(t *testing.T, root string, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if err := os.RemoveAll(filepath.Join(root, dir)); err != nil {
			t.Fatal(err)
		}
	}
}

func link(t *testing.T, root, target, path string) {
	t.Helper()
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

func TestErrors(t *testing.T) {
	root := debian(t, "settings: {hashsize: 8192, expect_max: 2147483647}\nmodule: {load: true}\n")
	kerneltree.Put(t, root, persist.ModulesLoadPath, "nf_conntrack\n")
	p, err := newPlan(t, root, persist.Options{})
	if !errors.Is(err, persist.ErrForeign) || !errors.Is(err, persist.ErrUnloadable) {
		t.Errorf("the error is %v", err)
	}
	if _, err := p.Write(tree.At(root)); err != nil {
		t.Fatal(err)
	}
	if text := read(t, root, persist.ModprobePath); !strings.Contains(text, "\noptions nf_conntrack hashsize=8192\n") {
		t.Errorf("the other file was not written:\n%s", text)
	}
	if text := read(t, root, persist.ModulesLoadPath); text != "nf_conntrack\n" {
		t.Errorf("a foreign file was changed:\n%s", text)
	}
}

// TestOddOrigin: a line break in the name of a configuration file begins no line in a boot file.
func TestOddOrigin(t *testing.T) {
	cfg, err := config.Source{Root: debian(t, usual)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	odd := tree.Place{File: "/etc/ctkeeper/conf.d/\ninstall nf_conntrack /bin/false\\\r#.yaml", Line: 1}
	for i := range cfg.Wants {
		cfg.Wants[i].Origin = odd
	}
	cfg.Origins["module.load"] = odd
	p, err := persist.NewPlan(tree.At(debian(t, "")), cfg, persist.Options{Udev: true})
	if err != nil {
		t.Fatal(err)
	}
	checkModprobe(t, p)
	for _, f := range p.Files {
		for line := range strings.Lines(string(f.Content)) {
			if strings.HasPrefix(line, "install") || strings.Contains(line, "\r") {
				t.Errorf("%s has the line %q", f.Path, line)
			}
		}
	}
}

func read(t *testing.T, root, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBefore419: the settings of TCP come with nf_conntrack_ipv4 there.
func TestBefore419(t *testing.T) {
	root := debian(t, usual)
	kerneltree.Put(t, root, "proc/sys/kernel/osrelease", "4.18.0-553.el8.x86_64\n")
	plan, err := newPlan(t, root, persist.Options{Udev: true})
	text := describe(plan, err)
	for _, line := range []string{"\nnf_conntrack\nnf_conntrack_ipv4\n",
		`KERNEL=="nf_conntrack|nf_conntrack_ipv4|nf_conntrack_ipv6"`} {
		if !strings.Contains(text, line) {
			t.Errorf("the plan has no %q:\n%s", line, text)
		}
	}
	plan, err = newPlan(t, root, persist.Options{Sysconfig: true})
	if text := describe(plan, err); !strings.Contains(text, "modprobe -b -a nf_conntrack nf_conntrack_ipv4\n") {
		t.Errorf("the script is\n%s", text)
	}
}
