package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

func optionsAt(root string) Options {
	return Options{Root: root, Source: config.Source{Root: root}, Running: running}
}

func TestNothingToExamine(t *testing.T) {
	root := t.TempDir()
	put(t, root, map[string]string{"home/user/file": "", "usr/bin/true": ""})
	report, err := Examine(t.Context(), optionsAt(root))
	want := "cannot examine " + root + ": nothing to look at: no /etc, no /lib/modules, no /usr/lib/modules, no /proc, no /sys"
	if !errors.Is(err, ErrNothing) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if diff := cmp.Diff(Report{}, report); diff != "" {
		t.Errorf("a report on nothing (-want +got):\n%s", diff)
	}
	for _, dir := range []string{"etc", "lib/modules", "usr/lib/modules", "proc", "sys"} {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Examine(t.Context(), optionsAt(root)); err != nil {
			t.Errorf("with /%s alone: %v", dir, err)
		}
	}
}

func TestExamineStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Examine(ctx, optionsAt(moduleTree(t)))
	if !errors.Is(err, context.Canceled) || err.Error() != "cannot examine the host: context canceled" {
		t.Errorf("error %v", err)
	}
}

// Findings come with the worst first, in the order of the checks otherwise; lists are
// never null, and only errors and warnings are problems.
func TestReport(t *testing.T) {
	root := moduleTree(t)
	put(t, root, map[string]string{oneConf: "install nft_ct /bin/true\nblacklist nf_conntrack\noptions nf_conntrack hashsize=no nosuch=1\n"})
	report, err := Examine(t.Context(), optionsAt(root))
	if err != nil {
		t.Fatal(err)
	}
	if report.Healthy || report.Root != root || report.Kernel != release || report.Distribution != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("healthy %t, root %s, kernel %s, distribution %s", report.Healthy, report.Root, report.Kernel, report.Distribution)
	}
	if !slices.IsSortedFunc(report.Findings, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) }) {
		t.Errorf("not in order: %q", ids(report.Findings))
	}
	mine := slices.DeleteFunc(ids(report.Findings), func(id string) bool {
		return !slices.Contains([]string{"module-not-loaded", "module-blacklisted", "bad-parameter", "unknown-parameter", "rule-module-blacklisted"}, id)
	})
	want := []string{"module-not-loaded", "module-blacklisted", "bad-parameter", "unknown-parameter", "rule-module-blacklisted"}
	if diff := cmp.Diff(want, mine); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, f := range report.Findings {
		if f.Evidence == nil || f.Fix == nil || rank(f.Severity) < 0 || f.Summary == "" || strings.HasSuffix(f.Summary, ".") || f.ID != strings.ToLower(f.ID) {
			t.Errorf("not as promised: %#v", f)
		}
	}
	info := (&Host{}).report()
	if info.Findings == nil || info.NotLooked == nil {
		t.Error("a list is null")
	}
}

// Whatever is in the place of a file, the rest is looked at all the same.
func TestNothingStopsTheRest(t *testing.T) {
	root := moduleTree(t)
	put(t, root, map[string]string{oneConf: "blacklist nf_conntrack\n"})
	spoilt := []string{
		"proc/cmdline", "proc/modules", "proc/meminfo", "proc/sys/kernel/osrelease", "etc/os-release", "var/log/kern.log", "etc/ctkeeper/ctkeeper.yaml",
		kernelDir + "modules.dep", kernelDir + "modules.builtin", "etc/sysctl.conf", "etc/modprobe.d/loop.conf", "sys/kernel/security/lockdown",
		"proc/self/mountinfo", "proc/config.gz", "proc/1/status", "proc/sys/kernel/cap_last_cap",
	}
	spoil := map[string]func(string) error{
		"directory": func(path string) error { return os.MkdirAll(path, 0o755) },
		"loop":      func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"fifo":      func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"binary":    func(path string) error { return os.WriteFile(path, []byte("\x00\xff\x1b[2J\n\n\\"), 0o644) },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"large":     func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("a=b c\n", 2<<20)), 0o644) },
	}
	for kind, make := range spoil {
		t.Run(kind, func(t *testing.T) {
			for _, name := range spoilt {
				path := filepath.Join(root, name)
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := make(path); err != nil {
					t.Fatal(err)
				}
			}
			report, err := Examine(t.Context(), optionsAt(root))
			if err != nil {
				t.Fatal(err)
			}
			find(t, report.Findings, "module-blacklisted")
		})
	}
}

func TestNotLooked(t *testing.T) {
	root := moduleTree(t)
	for _, name := range []string{"proc/modules", "var/log/kern.log"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	var places []string
	for _, e := range picture(t, root).NotLooked {
		if e.Text == "" {
			t.Errorf("%s: no reason", e.Place)
		}
		places = append(places, e.File)
	}
	for _, want := range []string{"/proc/modules", "kernel log"} {
		if !slices.Contains(places, want) {
			t.Errorf("%s is not among what could not be looked at: %q", want, places)
		}
	}
}

func TestMemTotal(t *testing.T) {
	for text, want := range map[string]int64{
		"MemTotal:        4194304 kB\n": 4 << 30, "MemFree: 1 kB\nMemTotal: 1 kB": 1024,
		"": 0, "MemTotal:\n": 0, "MemTotal: -5 kB\n": 0, "MemTotal: lots kB\n": 0, "MemTotal: 99999999999999999999 kB\n": 0,
	} {
		root := t.TempDir()
		kerneltree.Put(t, root, "proc/meminfo", text)
		if got := memTotal(tree.At(root)); got != want {
			t.Errorf("%q gives %d, want %d", text, got, want)
		}
	}
}

func TestRelevant(t *testing.T) {
	for text, want := range map[string]bool{
		"nf_conntrack: nf_conntrack: table full, dropping packet":                              true,
		"nf_ct_sip: dropping packet: all ports in use for SDP media IN= OUT=":                  true,
		"nf_conntrack: expectation table full":                                                 true,
		"Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7": true,
		"modprobe: vmalloc error: size 17179869184, exceeds total pages":                       true,
		"nf_conntrack: `nonsense' invalid for parameter `hashsize'":                            true,
		"nf_conntrack: unknown parameter 'nf_conntrack_max' ignored":                           true,
		"xt_CT: No such helper \"sipp\"":                                                       true,
		"eth0: Link is Up - 1Gbps/Full":                                                        false,
		"EXT4-fs (vda1): mounted filesystem":                                                   false,
		"":                                                                                     false,
	} {
		if got := relevant(text); got != want {
			t.Errorf("%q gives %t, want %t", text, got, want)
		}
	}
}

func TestLogged(t *testing.T) {
	h := &Host{}
	for _, text := range []string{"a 1", "b", "a 2", "a 3", "a 4"} {
		h.Log.Messages = append(h.Log.Messages, klog.Message{Text: text})
	}
	var texts []string
	for _, e := range h.logged(about("a ")) {
		texts = append(texts, e.Text)
	}
	if diff := cmp.Diff([]string{"a 2", "a 3", "a 4"}, texts); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}

func TestLoaded(t *testing.T) {
	h := &Host{
		Module: kmod.Module{State: kmod.Absent}, Modules: []kmod.Listed{{Name: "nf_conntrack"}, {Name: "nf_nat"}},
		Index: kmod.Index{BuiltIn: map[string]bool{"libcrc32c": true}},
	}
	for name, want := range map[string]bool{"nf_conntrack": false, "nf_nat": true, "libcrc32c": true, "xt_state": false} {
		if got := h.loaded(name); got != want {
			t.Errorf("%s: %t, want %t", name, got, want)
		}
	}
}

// What a refused configuration asks for nobody knows.
func TestWantsOfConfiguration(t *testing.T) {
	root := moduleTree(t)
	put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 70000}\nmodule: {parameters: {hashsize: 4096}}\n"})
	h := picture(t, root)
	if w, ok := h.want("max"); !ok || w.Value != "70000" {
		t.Errorf("max is %q, %t", w.Value, ok)
	}
	if p, ok := h.parameter("hashsize"); !ok || p.Value != "4096" {
		t.Errorf("hashsize is %q, %t", p.Value, ok)
	}
	put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: lots}\n"})
	h = picture(t, root)
	_, max := h.want("max")
	_, hashsize := h.parameter("hashsize")
	if max || hashsize || h.ConfigErr == nil {
		t.Errorf("a refused configuration wants something: %t %t %v", max, hashsize, h.ConfigErr)
	}
}

// On a disk nobody knows the memory that "auto" is sized for: that is no fault of the
// configuration, and hides no fault of it.
func TestConfigurationOfADisk(t *testing.T) {
	for text, want := range map[string]struct{ known, refused, told bool }{
		"settings: {max: 70000, hashsize: 70000}\n": {known: true},
		"settings: {max: auto}\n":                   {told: true},
		"settings: {max: lots}\n":                   {refused: true},
		"settings: {max: auto, acct: lots}\n":       {refused: true},
	} {
		root := t.TempDir()
		put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": text})
		h := picture(t, root)
		told := slices.ContainsFunc(h.NotLooked, func(e Evidence) bool { return e.File == "configuration" })
		if known, refused := h.Config != nil, h.ConfigErr != nil; known != want.known || refused != want.refused || told != want.told {
			t.Errorf("%s: known %t, refused %t, told %t; want %+v", text, known, refused, told, want)
		}
	}
}
