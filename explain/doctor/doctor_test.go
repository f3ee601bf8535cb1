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
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

func optionsAt(root string) picture.Options {
	return picture.Options{Source: config.Source{Root: root}, Running: doctortest.Running}
}

func TestNothingToExamine(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{"home/user/file": "", "usr/bin/true": ""})
	report, err := Examine(t.Context(), optionsAt(root))
	want := "cannot examine " + root + ": nothing to examine: no /etc, no /lib/modules, no /usr/lib/modules, no " +
		"/proc, no /sys"
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
	_, err := Examine(ctx, optionsAt(doctortest.ModuleTree(t)))
	if !errors.Is(err, context.Canceled) || err.Error() != "cannot examine the host: context canceled" {
		t.Errorf("error %v", err)
	}
}

// Findings come with the worst first, in the order of the checks otherwise; lists are
// never null, and only errors and warnings are problems.
func TestReport(t *testing.T) {
	root := doctortest.ModuleTree(t)
	doctortest.Put(t, root, map[string]string{doctortest.OneConf: "install nft_ct /bin/true\nblacklist " +
		"nf_conntrack\noptions nf_conntrack hashsize=no nosuch=1\n"})
	report, err := Examine(t.Context(), optionsAt(root))
	if err != nil {
		t.Fatal(err)
	}
	if report.Healthy || report.Root != root || report.Kernel != doctortest.Release ||
		report.Distribution != "Debian GNU/Linux 12 (bookworm)" {
		t.Errorf("healthy %t, root %s, kernel %s, distribution %s", report.Healthy, report.Root, report.Kernel,
			report.Distribution)
	}
	if !slices.IsSortedFunc(report.Findings, func(a,
		b finding.Finding) int {
		return a.Severity.Rank() - b.Severity.Rank()
	}) {
		t.Errorf("not in order: %q", doctortest.IDs(report.Findings))
	}
	mine := slices.DeleteFunc(doctortest.IDs(report.Findings), func(id string) bool {
		return !slices.Contains([]string{"module-not-loaded", "module-blacklisted", "bad-parameter",
			"unknown-parameter", "rule-module-blacklisted"}, id)
	})
	want := []string{"module-not-loaded", "module-blacklisted", "bad-parameter", "unknown-parameter",
		"rule-module-blacklisted"}
	if diff := cmp.Diff(want, mine); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, f := range report.Findings {
		if f.Evidence == nil || f.Fix == nil || f.Severity.Rank() < 0 || f.Summary == "" ||
			strings.HasSuffix(f.Summary, ".") || f.ID != strings.ToLower(f.ID) {
			t.Errorf("not as promised: %#v", f)
		}
	}
	info := newReport(&picture.Host{})
	if info.Findings == nil || info.NotRead == nil {
		t.Error("a list is null")
	}
}

// Whatever is in the place of a file, the rest is looked at all the same.
func TestNothingStopsTheRest(t *testing.T) {
	root := doctortest.ModuleTree(t)
	doctortest.Put(t, root, map[string]string{doctortest.OneConf: "blacklist nf_conntrack\n"})
	spoilt := []string{
		"proc/cmdline",
		"proc/modules",
		"proc/meminfo",
		"proc/sys/kernel/osrelease",
		"etc/os-release",
		"var/log/kern.log",
		"etc/ctkeeper/ctkeeper.yaml",
		doctortest.KernelDir + "modules.dep", doctortest.KernelDir +
			"modules.builtin", "etc/sysctl.conf", "etc/modprobe.d/loop.conf", "sys/kernel/security/lockdown",
		"proc/self/mountinfo", "proc/config.gz", "proc/1/status", "proc/sys/kernel/cap_last_cap",
	}
	spoil := map[string]func(string) error{
		"directory": func(path string) error { return os.MkdirAll(path, 0o755) },
		"loop":      func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"fifo":      func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"binary":    func(path string) error { return os.WriteFile(path, []byte("\x00\xff\x1b[2J\n\n\\"), 0o644) },
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"large": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("a=b c\n", 2<<20)),
				0o644)
		},
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
			doctortest.Find(t, report.Findings, "module-blacklisted")
		})
	}
}
