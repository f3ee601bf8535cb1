package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const (
	reloading = "module:\n  parameters:\n    expect_hashsize: 2048\n"
	drifting  = "settings:\n  hashsize: 131072\n  max: 1048576\n  tcp_timeout_established: 24h\n"
	standing  = "settings:\n  max: 65536\n  hashsize: {at_least: 512}\n"
	broken    = "settings:\n  hashsiez: 5\n  max: lots\n"
	alien     = "settings:\n  max: 65536\n  net.netfilter.nf_of_kernels_to_come: 7\n"
)

// refused are the places of broken's errors.
var refused = []string{"ctkeeper.yaml:2:3: ", "ctkeeper.yaml:3:8: "}

// commandCase is a command line on a host with a configuration.
type commandCase struct {
	name, config, args string
	alter              func(*testing.T, string)
	status             int
	stdout, stderr     []string // see result.wants
}

func TestExitStatuses(t *testing.T) {
	unload := func(t *testing.T, root string) { kerneltree.Unload(t, root) }
	tests := []commandCase{
		{"diff, nothing", standing, "diff", nil, 0, []string{"Nothing differs: 2 settings are as wanted."}, nil},
		{"diff, something", drifting, "diff", nil, 1, []string{"max", "65536", "1048576", "384 MiB", "drifted",
			"ctkeeper.yaml:3"}, nil},
		{"diff, module absent", drifting, "diff", unload, 2, []string{"pending"}, nil},
		{"diff, of another kernel", alien, "diff", nil, 0, []string{"unsupported"}, nil},
		{"diff, refused", broken, "diff", nil, 78, nil, refused},
		{"diff, embedded default", "", "diff", nil, 1, []string{"at_least 174080"}, nil},
		{"apply, something", drifting, "apply --log-format console", nil, 0, []string{"in-sync"},
			[]string{"max was 65536, wanted 1048576: repaired in "}},
		{"apply, nothing", standing, "apply --log-format console", nil, 0, []string{"in-sync"}, nil},
		{"apply, module absent", drifting, "apply --log-format console", unload, 1, []string{"pending"}, nil},
		{"apply, observing", drifting + "enforcement: {mode: observe}\n", "apply --log-format console", nil, 1,
			[]string{"drifted"}, []string{"not repaired, mode is observe"}},
		{"apply, refused", broken, "apply", nil, 78, nil, refused},
		{
			"apply, module of an image", drifting + "module: {load: true}\n", "apply --log-format console", unload, 1,
			[]string{"pending"}, []string{"cannot load the module", "is not the running system"},
		},
		{
			"diff, a reload", standing + reloading, "diff", nil, 1,
			[]string{"reload:  expect_hashsize is 256, wanted 2048 (/etc/ctkeeper/ctkeeper.yaml:6):\n" +
				"         needs a reload of nf_conntrack\n", "Nothing else differs"}, nil,
		},
		{"diff, a reload of what is absent", standing + reloading, "diff", unload, 2, []string{"pending"}, nil},
		{"status without a daemon, a reload", standing + reloading, "status", nil, 1,
			[]string{"\nreload:  expect_hashsize is 256, wanted 2048"}, nil},
		{"apply, a reload", standing + reloading, "apply --log-format console", nil, 0, []string{"in-sync"}, nil},
		{"status without a daemon", standing, "status", nil, 0, []string{"not running; values are read from the kernel",
			"nf_conntrack loaded", "0 of 65536 connections"}, nil},
		{"status without a daemon, drifted", drifting, "status", nil, 1, []string{"drifted"}, nil},
		{"status without a daemon, module absent", drifting, "status", unload, 2,
			[]string{"nf_conntrack absent", "pending"}, nil},
		{"status without a daemon, built in", standing, "status",
			func(t *testing.T, root string) { kerneltree.BuiltIn(t, root) }, 0, []string{"nf_conntrack built-in"}, nil},
		{"status, refused", broken, "status", nil, 78, nil, refused},
		{"status --brief, refused", broken, "status --brief", nil, 78,
			[]string{"ctkeeper is not running, nothing is repaired (and 1 other problem)\n"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

func TestMoreExitStatuses(t *testing.T) {
	tests := []commandCase{
		{"events without a daemon", standing, "events", nil, 0, nil,
			[]string{"ctkeeper: no daemon is running, and there is no history file\n"}},
		{"events -f without a daemon", standing, "events -f", nil, 1, nil,
			[]string{"ctkeeper: no daemon is running, so that there is nothing to follow: nothing answers on "}},
		{"events of the last daemon", standing, "events", leaveHistory, 0, []string{"max was 5"},
			[]string{"this is the history file ", "events.jsonl\nctkeeper: history: skipped 1 corrupt lines"}},
		{"events of the last daemon, since", standing, "events --since 2026-02-02", leaveHistory, 0, nil,
			[]string{"this is the history file "}},
		{"config check", drifting, "config check", nil, 0, nil, nil},
		{"config check, refused", broken, "config check", nil, 78, nil, refused},
		{"config check of one file", broken, "config check /etc/other.yaml", putOther, 0, nil, nil},
		{"config check of a missing file", standing, "config check /etc/nosuch.yaml", nil, 78, nil,
			[]string{"/etc/nosuch.yaml: cannot read: no such file"}},
		{"config check of a missing main file", standing, "config check --config /etc/nosuch.yaml", nil, 78, nil,
			[]string{"/etc/nosuch.yaml: cannot read: no such file"}},
		{"config show", drifting, "config show", nil, 0,
			[]string{"max: 1048576  # /etc/ctkeeper/ctkeeper.yaml:3, up to 384 MiB of memory"}, nil},
		{"config show, refused", broken, "config show", nil, 78, nil, refused},
		{"config show of another file", broken, "config show --config /etc/other.yaml", putOther, 0,
			[]string{"acct: true  # /etc/other.yaml:1"}, nil},
		{"run, refused", broken, "run --log-format console", nil, 78, nil, append(refused, "configuration refused")},
		{"a journal that is not there", standing, "diff --log-format journal", nil, 1, nil,
			[]string{"ctkeeper: cannot log to the journal"}},
	}
	for _, test := range tests {
		t.Run(test.name, test.run)
	}
}

// run runs the command line on a host.
func (test commandCase) run(t *testing.T) {
	if strings.Contains(test.args, "journal") {
		needNoJournal(t)
	}
	root := host(t, test.config)
	if test.alter != nil {
		test.alter(t, root)
	}
	args := append(strings.Fields(test.args), "--root", root)
	ctkeeper(t.Context(), args...).wants(t, test.status, test.stdout, test.stderr)
}

func leaveHistory(t *testing.T, root string) {
	kerneltree.Put(t, root, "var/lib/ctkeeper/events.jsonl",
		`{"at":"2026-02-01T00:00:00Z","event":"drift","message":"max was 5"}`+"\n{\"at\"")
}

func putOther(t *testing.T, root string) {
	kerneltree.Put(t, root, "etc/other.yaml", "settings: {acct: true}\n")
}

func needNoJournal(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/run/systemd/journal/socket"); err == nil {
		t.Skip("this host has a journal")
	}
}

// Nothing but apply and run writes, and a second apply finds nothing to do.
func TestOnlyApplyWrites(t *testing.T) {
	root := host(t, drifting)
	values := func() []string {
		var out []string
		for _, setting := range []string{"hashsize", "max", "tcp_timeout_established", "udp_timeout"} {
			out = append(out, kerneltree.Get(t, root, setting))
		}
		return out
	}
	before := values()
	for _, args := range []string{"diff", "status", "config show", "config check", "persist --dry-run", "persist"} {
		ctkeeper(t.Context(), append(strings.Fields(args), "--root", root)...)
		if diff := cmp.Diff(before, values()); diff != "" {
			t.Errorf("%s writes (-before +after):\n%s", args, diff)
		}
	}
	want := []string{"131072", "1048576", "86400", before[3]}
	for _, said := range [][]string{{"max was 65536"}, nil} {
		ctkeeper(t.Context(), "apply", "--root", root, "--log-format", "console").wants(t, 0, []string{"in-sync"}, said)
		if diff := cmp.Diff(want, values()); diff != "" {
			t.Errorf("after apply (-want +got):\n%s", diff)
		}
	}
	ctkeeper(t.Context(), "diff", "--root", root).wants(t, 0, []string{"Nothing differs: 3 settings are as wanted."},
		nil)
}

// The JSON of a setting is contract 1.3; diff has it without the history.
func TestDocuments(t *testing.T) {
	root := host(t, drifting)
	const hashsize = `{"setting":"hashsize","policy":"exactly","want":131072,"live":65536,"state":"drifted",` +
		`"error":"","memory_bytes":1048576,"origin":{"file":"/etc/ctkeeper/ctkeeper.yaml","line":2}`
	for command, want := range map[string]string{"status": hashsize + `,"drifts":0}`, "diff": hashsize + "}"} {
		got := ctkeeper(t.Context(), command, "--root", root, "-o", "json")
		var doc struct {
			API      int `json:"api"`
			Settings []json.RawMessage
		}
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
			t.Fatalf("%s -o json: %v\n%s", command, err, got.stdout)
		}
		var first bytes.Buffer
		if err := json.Compact(&first, doc.Settings[0]); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, first.String()); diff != "" || doc.API != 1 {
			t.Errorf("%s -o json: api %d, first setting (-want +got):\n%s", command, doc.API, diff)
		}
	}
	ctkeeper(t.Context(), "config", "show", "-o", "yaml", "--root", root).wants(t, 0, []string{"want: 131072\n"}, nil)
}

// A relative --root and --config mean what they mean to other programs.
func TestRelativePaths(t *testing.T) {
	root := host(t, standing)
	t.Chdir(filepath.Dir(root))
	ctkeeper(t.Context(), "diff", "--root", filepath.Base(root)).wants(t, 0, []string{"Nothing differs"}, nil)
	t.Chdir(filepath.Join(root, filepath.Dir(config.DefaultMain)))
	ctkeeper(t.Context(), "config", "check", filepath.Base(config.DefaultMain)).wants(t, 0, nil, nil)
}
