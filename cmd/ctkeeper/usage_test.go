package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/buildinfo"
	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/status"
)

// usageCase is a wrong command line and the one line that is printed.
type usageCase struct{ args, want string }

func TestWrongUsage(t *testing.T) {
	for _, test := range []usageCase{
		{"", "a command is missing: ctkeeper init shows what it would keep on this host, ctkeeper --help lists all"},
		{"nosuch", `unknown command "nosuch" (see ctkeeper --help)`},
		{"staus", `unknown command "staus" (did you mean status?)`},
		{"evnts -f --since today", `unknown command "evnts" (did you mean events?)`},
		{"--root /x evnts", `unknown command "evnts" (did you mean events?)`},
		{"statsu --help", `unknown command "statsu" (did you mean status?)`},
		{"stat", `unknown command "stat" (did you mean status?)`},
		{"co", `unknown command "co" (did you mean completion or config?)`},
		{"-- status", `unknown command "status" (see ctkeeper --help)`},
		{"show", `unknown command "show" (did you mean config show?)`},
		{"config", "config needs a command (check, show)"},
		{"config chekc", `unknown command "config chekc" (did you mean config check?)`},
		{"config nosuch -x", `unknown command "config nosuch" (see ctkeeper config --help)`},
		{"help nosuch", `unknown command "nosuch" (see ctkeeper --help)`},
		{"help config shwo", `unknown command "config shwo" (did you mean config show?)`},
		{"diff extra", `unexpected argument "extra" (see ctkeeper diff --help)`},
		{"config show extra", `unexpected argument "extra" (see ctkeeper config show --help)`},
		{"--nosuch", "unknown flag --nosuch (see ctkeeper --help)"},
		{"--verison", "unknown flag --verison (did you mean --version?)"},
		{"diff --nosuch=5", "unknown flag --nosuch (see ctkeeper diff --help)"},
		{"events --folow", "unknown flag --folow (did you mean --follow?)"},
		{"-version", "unknown flag -version (did you mean --version?)"},
		{"events -x", "unknown flag -x (see ctkeeper events --help)"},
		{"diff --confg /x", "unknown flag --confg (did you mean --config?)"},
	} {
		t.Run(test.args, test.run)
	}
}

func TestWrongArguments(t *testing.T) {
	for _, test := range []usageCase{
		{"diff --config", "--config needs an argument: --config FILE"},
		{"diff -o", "--output needs an argument: --output FORMAT"},
		{"diff ---", "bad flag syntax: ---"},
		{"diff -o xml", `invalid argument "xml" for --output (table, json, yaml)`},
		{"diff -o tabel", `invalid argument "tabel" for --output (did you mean table?)`},
		{"diff --log-level loud", `invalid argument "loud" for --log-level (debug, info, warn, error)`},
		{"diff --log-level dbug", `invalid argument "dbug" for --log-level (did you mean debug?)`},
		{"diff --log-format xml", `invalid argument "xml" for --log-format (auto, journal, console, json)`},
		{"diff --root /no/such/directory", `invalid argument "/no/such/directory" for --root (an existing directory)`},
		{"diff --root=", `invalid argument "" for --root (an existing directory)`},
		{"persist --dry-run=maybe", `invalid argument "maybe" for --dry-run (true, false)`},
		{"persist --remove --udev", "--remove removes what --sysconfig and --udev wrote, too: leave these out"},
		{"persist --remove --sysconfig", "--remove removes what --sysconfig and --udev wrote, too: leave these out"},
		{"events --since tomorrow", `invalid argument "tomorrow" for --since (2026-01-31 15:04, RFC 3339, today, ` +
			"yesterday, or how long ago: 10m, 2h30m, 1d)"},
		{"events --kind drif", `invalid argument "drif" for --kind (did you mean drift?)`},
		{"events --kind x", `invalid argument "x" for --kind (drift, contested, settled, module-load, module-unload, ` +
			`failed, forbidden, config-loaded, config-refused, table-pressure, refused-write, absorbed-write)`},
		{"events --setting hashsiez", `unknown setting "hashsiez" (did you mean hashsize?)`},
		{"events --setting nf_conntrack_bukets", `unknown setting "nf_conntrack_bukets" (did you mean buckets?)`},
		{"events --setting nosuch", `unknown setting "nosuch" (see ctkeeper.yaml(5))`},
		{"events --kind=", `invalid argument "" for --kind (drift, contested, settled, module-load, module-unload, ` +
			`failed, forbidden, config-loaded, config-refused, table-pressure, refused-write, absorbed-write)`},
		{"events --setting=", `unknown setting "" (see ctkeeper.yaml(5))`},
		{"events --by=", `invalid argument "" for --by (WRITER)`},
		{"events --since=", `invalid argument "" for --since (TIME)`},
		{"events -n x", `invalid argument "x" for --lines (NUMBER)`},
		{"events -n -1", `invalid argument "-1" for --lines (NUMBER)`},
		{"completion", "completion needs a shell (bash, fish, zsh)"},
		{"completion tcsh", `unknown shell "tcsh" (bash, fish, zsh)`},
		{"completion fsh", `unknown shell "fsh" (did you mean fish?)`},
		{"completion bash x", `unexpected argument "x" (see ctkeeper completion --help)`},
		{"render", "render needs a target (kube-proxy, kubelet, cri-o, cni-tuning, talos, bottlerocket, nixos)"},
		{"render kubeproxy", `unknown target "kubeproxy" (did you mean kube-proxy?)`},
		{"render docker", `unknown target "docker" ` +
			"(kube-proxy, kubelet, cri-o, cni-tuning, talos, bottlerocket, nixos)"},
		{"render nixos x", `unexpected argument "x" (see ctkeeper render --help)`},
		{"render nixos --agree", "--agree is for kube-proxy and kubelet: nixos sets the same values anyway"},
		{"events --config /x", "ctkeeper events does not read the configuration: leave --config out"},
		{"version --config /x", "ctkeeper version does not read the configuration: leave --config out"},
		{"completion bash --config /x", "ctkeeper completion does not read the configuration: leave --config out"},
		{"import --config /x", "import makes a drop-in, and with --config no drop-in is read: leave --config out"},
		{"persist --remove --config /x", "persist --remove does not read the configuration: leave --config out"},
		{"config check /y --config /x", "config check FILE checks each FILE alone: leave --config out"},
	} {
		t.Run(test.args, test.run)
	}
}

func (test usageCase) run(t *testing.T) {
	got := ctkeeper(t.Context(), strings.Fields(test.args)...)
	if want := (result{2, "", "ctkeeper: " + test.want + "\n"}); got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestNoCommandTakesWhatItDoesNotRead: a word too many is an error in every command.
func TestNoCommandTakesWhatItDoesNotRead(t *testing.T) {
	for _, cmd := range allCommands() {
		if strings.Contains(cmd.Use, " ") || cmd.HasSubCommands() {
			continue
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "extra")
		want := "unexpected argument \"extra\" (see " + cmd.CommandPath() + " --help)\n"
		ctkeeper(t.Context(), args...).wants(t, 2, nil, []string{want})
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range shells() {
		ctkeeper(t.Context(), "completion", shell).wants(t, 0, []string{"ctkeeper"}, nil)
	}
	ctkeeper(t.Context(), "__complete", "render", "kube").wants(t, 0, []string{"kube-proxy\nkubelet\n"},
		[]string{"NoFileComp"})
	for flag, want := range map[string]string{"--output": "table\njson\nyaml\n", "--log-level": "debug\n",
		"--log-format": "journal\n"} {
		ctkeeper(t.Context(), "__complete", "doctor", flag, "").wants(t, 0, []string{want}, []string{"NoFileComp"})
	}
}

func TestVersion(t *testing.T) {
	build := buildinfo.Read(version)
	for _, args := range []string{"version", "--version", "-V"} {
		ctkeeper(t.Context(), args).wants(t, 0, []string{"ctkeeper " + build.String() + "\n"}, nil)
		got := ctkeeper(t.Context(), args, "-o", "json")
		var doc struct {
			API int
			buildinfo.Build
		}
		if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.API != 1 || doc.Build != build {
			t.Errorf("%s -o json prints %q (%v)", args, got.stdout, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("", 3600)
	now := time.Date(2026, time.March, 1, 12, 0, 0, 0, zone)
	tests := map[string]string{
		"10m":                       "2026-03-01T11:50:00+01:00",
		"-10m":                      "2026-03-01T11:50:00+01:00",
		"1h30m":                     "2026-03-01T10:30:00+01:00",
		"2026-02-28 23:59:58":       "2026-02-28T23:59:58+01:00",
		"2026-02-28 23:59":          "2026-02-28T23:59:00+01:00",
		"2026-02-28":                "2026-02-28T00:00:00+01:00",
		"2026-02-28T23:59:58Z":      "2026-02-28T23:59:58Z",
		"2026-02-28T23:59:58-05:00": "2026-02-28T23:59:58-05:00",
		"2026-02-28T23:59":          "2026-02-28T23:59:00+01:00",
		"1d":                        "2026-02-28T12:00:00+01:00",
		"1d12h":                     "2026-02-28T00:00:00+01:00",
		"-2d":                       "2026-02-27T12:00:00+01:00",
		"now":                       "2026-03-01T12:00:00+01:00",
		"today":                     "2026-03-01T00:00:00+01:00",
		"yesterday":                 "2026-02-28T00:00:00+01:00",
		"":                          "0001-01-01T00:00:00Z",
	}
	for text, want := range tests {
		got, err := parseTime(text, now)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("parseTime(%q) is %s (%v), want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, text := range []string{"tomorrow", "10", "12:00", "2026-13-01", "d", "1.5d", "99999d", "1d-2h", "--1h",
		"1dd"} {
		if got, err := parseTime(text, now); err == nil {
			t.Errorf("parseTime(%q) is %s, want an error", text, got)
		}
	}
}

// TestOutputFails: what cannot be printed is no wrong usage.
func TestOutputFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	for _, args := range []string{"version", "--version", "completion bash", "config show", "completion zsh",
		"completion fish", "render talos"} {
		var stderr bytes.Buffer
		status := execute(t.Context(), append(strings.Fields(args), "--root", host(t, standing)), full, &stderr)
		if status != exitNo || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("%s: status %d, %s", args, status, stderr.String())
		}
	}
}

// TestVersionsAgree: the document of the daemon and its metric tell the build that ctkeeper version prints.
func TestVersionsAgree(t *testing.T) {
	root := host(t, standing)
	start(t, root)
	client := status.NewClient(status.SocketPath(root))
	var document status.Document
	eventually(t, "the daemon answers", func() bool {
		d, err := client.Status(t.Context())
		document = d
		return err == nil
	})
	build := buildinfo.Read(version)
	daemon := document.Daemon
	if daemon.Version != build.Version || daemon.Commit != build.Commit || daemon.GoVersion != build.Go {
		t.Errorf("the daemon is %+v, want the build %+v", daemon, build)
	}
	served := answer(metrics.New(client, func(error) {}).Handler(), "/metrics")
	want := fmt.Sprintf("ctkeeper_build_info{goversion=%q,revision=%q,version=%q} 1\n", build.Go, build.Commit,
		build.Version)
	if !strings.Contains(served, want) {
		t.Errorf("the metrics do not have %s", want)
	}
}
