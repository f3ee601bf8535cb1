package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/persist"
)

// settled is a host whose files are applied.
func settled(t *testing.T) string {
	t.Helper()
	root := host(t, "")
	for path, text := range map[string]string{
		"etc/sysctl.d/90-x.conf": "net.netfilter.nf_conntrack_max = 262144\nnet.nf_conntrack_tcp = 1\n" +
			"net.netfilter.nf_conntrack_tcp_timeout_established = 3600\n",
		"etc/sysctl.d/10-x.conf":     "net.nf_conntrack_max = 65536\n",
		"etc/modprobe.d/ct.conf":     "options nf_conntrack hashsize=32768 expect_hashsize=256\n",
		"etc/modules-load.d/ct.conf": "nf_conntrack\nnf_conntrack_ftp\n",
		"etc/tuned/active_profile":   "mine\n",
		"etc/tuned/mine/tuned.conf":  "[sysctl]\nnet.netfilter.nf_conntrack_udp_timeout=>20\n",
		"etc/udev/rules.d/50-ct.rules": "SUBSYSTEM==\"module\", KERNEL==\"nf_conntrack\", " +
			"SYSCTL{net/netfilter/nf_conntrack_acct}=\"1\"\n",
	} {
		kerneltree.Put(t, root, path, text)
	}
	for name, value := range map[string]string{"max": "262144", "hashsize": "32768", "tcp_timeout_established": "3600",
		"acct": "1"} {
		kerneltree.Set(t, root, name, value)
	}
	return root
}

func dropin(t *testing.T, root string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, importer.DropInPath))
	if err != nil && !os.IsNotExist(err) && !errors.Is(err, syscall.EISDIR) && !errors.Is(err, syscall.ENOTDIR) {
		t.Fatal(err)
	}
	return string(text)
}

// After import, diff on a host whose files are applied is empty.
func TestImportRoundTrip(t *testing.T) {
	root := settled(t)
	got := ctkeeper(t.Context(), "import", "--root", root)
	got.wants(t, 0, []string{
		"  max: 262144  # /etc/sysctl.d/90-x.conf:1 (systemd-sysctl); overrides 65536 of /etc/sysctl.d/10-x.conf:1\n",
		"  udp_timeout: {at_least: 20}  # /etc/tuned/mine/tuned.conf:2 (tuned)\n",
		"    expect_hashsize: 256  # /etc/modprobe.d/ct.conf:1 (modprobe)\n",
	}, []string{
		"Once this is in /etc/ctkeeper/conf.d/50-imported.yaml, these lines can be deleted:\n" +
			"  /etc/modprobe.d/ct.conf:1\n  /etc/modules-load.d/ct.conf:1\n" +
			"  /etc/sysctl.d/10-x.conf:1\n  /etc/sysctl.d/90-x.conf:1\n  /etc/sysctl.d/90-x.conf:3\n" +
			"  /etc/tuned/mine/tuned.conf:2\n",
	})
	if text := dropin(t, root); text != "" {
		t.Fatalf("import alone wrote:\n%s", text)
	}
	for _, said := range []string{"wrote /etc/ctkeeper/conf.d/50-imported.yaml\nThese lines can be deleted:\n",
		"/etc/ctkeeper/conf.d/50-imported.yaml is up to date\n"} {
		written := ctkeeper(t.Context(), "import", "--write", "--root", root)
		written.wants(t, 0, []string{got.stdout}, []string{said})
		if text := dropin(t, root); text != got.stdout {
			t.Errorf("import --write wrote:\n%s", text)
		}
	}
	ctkeeper(t.Context(), "diff", "--root", root).wants(t, 0, []string{"Nothing differs: 6 settings are as wanted."},
		nil)
	ctkeeper(t.Context(), "config", "check", "--root", root).wants(t, 0, nil, nil)
}

type importCase struct {
	name   string
	alter  func(*testing.T, string)
	status int
	keeps  string // of Target
	stdout []string
	stderr []string
}

func TestImportWritesOnlyWhatIsSafe(t *testing.T) {
	tests := []importCase{
		{
			"somebody else's file", func(t *testing.T, root string) {
				kerneltree.Put(t, root, importer.DropInPath, "settings: {acct: 1}\n")
			}, 1, "settings: {acct: 1}\n",
			[]string{"max: 262144"}, []string{"ctkeeper: cannot write /etc/ctkeeper/conf.d/50-imported.yaml: not " +
				"written by ctkeeper import"},
		},
		{
			"a refused configuration", func(t *testing.T, root string) {
				kerneltree.Put(t, root, config.DefaultMain, broken)
			}, 78, "",
			[]string{"max: 262144"}, []string{"ctkeeper: the present configuration is refused: ",
				"ctkeeper.yaml:2:3: "},
		},
		{
			"nothing found", func(t *testing.T, root string) {
				for _, dir := range []string{"sysctl.d", "modprobe.d", "modules-load.d", "tuned", "udev"} {
					if err := os.RemoveAll(filepath.Join(root, "etc", dir)); err != nil {
						t.Fatal(err)
					}
				}
			}, 0, "", []string{"# No file of this host sets a value"}, nil,
		},
		{
			"a file that cannot be read", func(t *testing.T, root string) {
				if err := os.MkdirAll(filepath.Join(root, "etc/sysctl.d/a.conf"), 0o755); err != nil {
					t.Fatal(err)
				}
				kerneltree.Put(t, root, importer.DropInPath, importer.Header+"\n")
			}, 0, importer.Header + "\nsettings:\n", []string{"max: 262144"},
			[]string{"note: /etc/sysctl.d/a.conf: is a directory\n", "wrote "},
		},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

// run runs import --write on a host, and compares the drop-in.
func (test importCase) run(t *testing.T) {
	root := settled(t)
	test.alter(t, root)
	ctkeeper(t.Context(), "import", "--write", "--root", root).wants(t, test.status, test.stdout, test.stderr)
	if got := dropin(t, root); !strings.HasPrefix(got, test.keeps) || test.keeps == "" && got != "" {
		t.Errorf("the drop-in is now:\n%s", got)
	}
}

func TestImportOnOddHosts(t *testing.T) {
	tests := []importCase{
		{
			"sizes that nobody can tell", func(t *testing.T, root string) {
				kerneltree.Put(t, root, config.DefaultMain, "settings: {max: auto}\n")
				if err := os.Remove(filepath.Join(root, "proc/meminfo")); err != nil {
					t.Fatal(err)
				}
			}, 78, "", []string{"max: 262144"},
			[]string{"ctkeeper: the present configuration is refused: ",
				"ctkeeper.yaml:1:17: settings.max: cannot be sized"},
		},
		{
			"a directory that is masked", func(t *testing.T, root string) {
				if err := os.MkdirAll(filepath.Join(root, "etc/ctkeeper"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink("/dev/null", filepath.Join(root, "etc/ctkeeper/conf.d")); err != nil {
					t.Fatal(err)
				}
			}, 1, "", []string{"max: 262144"},
			[]string{"ctkeeper: cannot write /etc/ctkeeper/conf.d/50-imported.yaml: " +
				"its directory is a link to /dev/null: remove the link first\n"},
		},
		{
			"a directory in its place", func(t *testing.T, root string) {
				if err := os.MkdirAll(filepath.Join(root, importer.DropInPath, "x"), 0o755); err != nil {
					t.Fatal(err)
				}
			}, 1, "", []string{"max: 262144"},
			[]string{"cannot write /etc/ctkeeper/conf.d/50-imported.yaml: not written by ctkeeper import: " +
				"move it away first: is a directory\n"},
		},
		{
			"names that are lines", func(t *testing.T, root string) {
				kerneltree.Put(t, root, "etc/sysctl.d/99-a\nsettings: {acct: 0}\n# x.conf",
					"net.netfilter.nf_conntrack_max = 1\nnot a line\n")
				kerneltree.Put(t, root, "etc/sysctl.d/99-b.conf", "net.netfilter.nf_conntrack_max = 262144\n")
			}, 0, importer.Header + "\nsettings:\n  hashsize:",
			[]string{"max: 262144  # /etc/sysctl.d/99-b.conf:1 (systemd-sysctl); overrides ",
				", 1 of /etc/sysctl.d/99-a\\nsettings: {acct: 0}\\n# x.conf:1\n"},
			[]string{"note: /etc/sysctl.d/99-a\\nsettings: {acct: 0}\\n# x.conf:2: is not an assignment\n",
				"\n  /etc/sysctl.d/99-a\\nsettings: {acct: 0}\\n# x.conf:1\n"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

func TestImportDocument(t *testing.T) {
	root := settled(t)
	got := ctkeeper(t.Context(), "import", "-o", "json", "--root", root)
	var doc struct {
		API      int
		YAML     string
		Obsolete []tree.Place
		Notes    []string
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.API != 1 || !strings.HasPrefix(doc.YAML, importer.Header) || len(doc.Obsolete) != 6 || doc.Notes == nil {
		t.Errorf("import -o json prints %+v", doc)
	}
}

// inventory, which is below persist, knows persist's files by their header.
func TestInventoryKnowsOurFiles(t *testing.T) {
	root := host(t, "")
	kerneltree.Put(t, root, persist.SysctlPath, persist.Header+"\nnet.netfilter.nf_conntrack_acct = 1\n")
	kerneltree.Put(t, root, persist.SysconfigPath,
		"#!/bin/sh\n"+persist.Header+"\necho 1 > /proc/sys/net/netfilter/nf_conntrack_checksum\n")
	kerneltree.Put(t, root, persist.ModprobePath, persist.Header+"\noptions nf_conntrack hashsize=4096\n")
	for _, a := range inventory.Read(tree.At(root)).Assignments {
		if !a.FromPersist {
			t.Errorf("%s is not ours", a.Place)
		}
	}
	ctkeeper(t.Context(), "import", "--root", root).wants(t, 0, []string{"# No file of this host sets a value"}, nil)
}

func TestImportFromNothing(t *testing.T) {
	root := t.TempDir()
	ctkeeper(t.Context(), "import", "--write", "--root", root).wants(t, 2, nil,
		[]string{"ctkeeper: cannot import from " + root +
			": nothing to read: no /etc, no /run, no /usr/lib, no /lib\n"})
	if names, err := os.ReadDir(root); err != nil || len(names) > 0 {
		t.Errorf("import left %v, %v", names, err)
	}
}
