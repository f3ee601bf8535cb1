package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/host/buildinfo"
)

func TestWrongUsage(t *testing.T) {
	tests := []struct {
		args string // separated by spaces
		want string // on standard error, before the usage
	}{
		{"", "a command is missing"},
		{"nosuch", `unknown command "nosuch" for "ctkeeper"`},
		{"--nosuch", "unknown flag: --nosuch"},
		{"diff extra", `unknown command "extra" for "ctkeeper diff"`},
		{"diff --nosuch", "unknown flag: --nosuch"},
		{"diff --config", "flag needs an argument: --config"},
		{"diff -o", "flag needs an argument: 'o' in -o"},
		{"diff -o xml", `invalid argument "xml" for --output (table, json, yaml)`},
		{"diff --log-level loud", `invalid argument "loud" for --log-level (debug, info, warn, error)`},
		{"diff --log-format xml", `invalid argument "xml" for --log-format (auto, journal, console, json)`},
		{"diff --root /no/such/directory", `invalid argument "/no/such/directory" for --root (an existing directory)`},
		{"diff --root=", `invalid argument "" for --root (an existing directory)`},
		{"doctor extra", `unknown command "extra" for "ctkeeper doctor"`},
		{"run extra", `unknown command "extra" for "ctkeeper run"`},
		{"persist --dry-run=maybe", `invalid argument "maybe" for "--dry-run" flag`},
		{"persist --remove --udev", "if any flags in the group [remove udev] are set none of the others can be; " +
			"[remove udev] were all set"},
		{"persist --remove --sysconfig", "if any flags in the group [remove sysconfig] are set none of the others " +
			"can be; [remove sysconfig] were all set"},
		{"persist x", `unknown command "x" for "ctkeeper persist"`},
		{"import x", `unknown command "x" for "ctkeeper import"`},
		{"import --write=maybe", `invalid argument "maybe" for "--write" flag`},
		{"events --since tomorrow", `invalid argument "tomorrow" for --since (2006-01-02 15:04, RFC 3339, today, ` +
			"yesterday, or how long ago, as 10m, 2h30m or 1d)"},
		{"config", "a command is missing: show or check"},
		{"config nosuch", `unknown command "nosuch" for "ctkeeper config"`},
		{"config show extra", `unknown command "extra" for "ctkeeper config show"`},
		{"version extra", `unknown command "extra" for "ctkeeper version"`},
		{"completion", "a shell is missing: bash, fish, powershell or zsh"},
		{"completion tcsh", `unknown command "tcsh" for "ctkeeper completion"`},
		{"events --config /x", "ctkeeper events does not read the configuration: leave --config out"},
		{"version --config /x", "ctkeeper version does not read the configuration: leave --config out"},
		{"completion bash --config /x", "ctkeeper completion bash does not read the configuration: leave --config out"},
		{"import --config /x", "import makes a drop-in, and with --config no drop-in is read: leave --config out"},
		{"persist --remove --config /x", "persist --remove does not read the configuration: leave --config out"},
		{"config check /y --config /x", "config check FILE checks each FILE alone: leave --config out"},
		{"help nosuch", `unknown command "nosuch" for "ctkeeper"`},
		{"help config nosuch", `unknown command "nosuch" for "ctkeeper config"`},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			got := ctkeeper(t.Context(), strings.Fields(test.args)...)
			got.wants(t, 2, nil, []string{"ctkeeper: " + test.want, "\n\nUsage:\n"})
		})
	}
}

func TestHelp(t *testing.T) {
	tests := map[string]string{ // arguments → a text of the help
		"help":             "\nCommands:\n",
		"--help":           "\nCommands:\n",
		"help diff":        "2   a state is not known",
		"diff -h":          "2   a state is not known",
		"help doctor":      "2   nothing could be examined",
		"help config show": "78  the configuration is refused",
		"run --help":       "--strict",
		"help events":      "or --follow without a daemon",
		"help status":      "78  the newest configuration",
	}
	for args, want := range tests {
		t.Run(args, func(t *testing.T) {
			ctkeeper(t.Context(), strings.Fields(args)...).wants(t, 0, []string{want}, nil)
		})
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "fish", "powershell", "zsh"} {
		ctkeeper(t.Context(), "completion", shell).wants(t, 0, []string{"ctkeeper"}, nil)
	}
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
