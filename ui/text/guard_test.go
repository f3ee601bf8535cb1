package text_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// guardStatus is a guard with a mode and a state, and nothing else.
func guardStatus(mode config.GuardMode, state status.GuardState) status.Guard {
	return status.Guard{
		Mode:     string(mode),
		State:    state,
		Names:    []string{},
		Missing:  []capability.Missing{},
		Locked:   []string{},
		Held:     []string{},
		Allow:    []string{},
		Refused:  []status.BlockedWrites{},
		Absorbed: []status.BlockedWrites{},
	}
}

// watchfulGuard is a guard with every ability.
func watchfulGuard() status.Guard {
	g := guardStatus(config.GuardWatch, status.GuardWatching)
	g.Names = []string{"pid", "comm", "unit", "netns", "module", "sysfs"}
	return g
}

// lockedGuard has a value in each field but Error.
func lockedGuard() status.Guard {
	g := guardStatus(config.GuardLock, status.GuardLocked)
	g.Names = []string{"pid", "unit", "module"}
	g.Note = "blocks accidental changes, no defence against root"
	g.Locked, g.Allow = []string{"hashsize", "max", "expect_max"}, []string{"docker.service", "system-kube.slice"}
	g.Missing = []capability.Missing{
		{
			What: "the command of a writer",
			Why:  "CAP_PERFMON is missing",
			Hint: "install the drop-in guard-perfmon.conf",
		},
		{What: "who writes hashsize through sysfs", Why: "this kernel has no fentry"},
	}
	g.Refused = []status.BlockedWrites{
		refusal("hashsize", 1, "8192", noon.Add(-time.Second), sysfs.Writer{}),
		refusal("max", 2, "131072", noon, *kubeProxy()),
	}
	return g
}

func refusal(setting string, count int, value string, at time.Time, by sysfs.Writer) status.BlockedWrites {
	r := status.BlockedWrites{Setting: setting, Count: count}
	r.Last.At, r.Last.Value, r.Last.By = at, value, by
	return r
}

// kubeProxy is a writer with a value in each field.
func kubeProxy() *sysfs.Writer {
	return &sysfs.Writer{
		PID: 2211, Comm: "kube-proxy", Unit: "cri-containerd-4f0c8a21bd03.scope",
		Container: "4f0c8a21bd03" + strings.Repeat("0", 52), Pod: "1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11",
	}
}

// guardLines returns the lines of the status about the guard.
func guardLines(t *testing.T, s status.Document) string {
	t.Helper()
	out := string(print(t, "table", func(p text.Printer) error { return p.Status(s) }))
	_, rest, _ := strings.Cut(out, "module:")
	_, rest, _ = strings.Cut(rest, "\n")
	lines, _, _ := strings.Cut(rest, "\n\n")
	return lines
}

// inSync returns settings that are in sync.
func inSync(names ...string) []reconcile.SettingStatus {
	var settings []reconcile.SettingStatus
	for _, name := range names {
		settings = append(settings, reconcile.SettingStatus{
			Comparison: reconcile.Comparison{Name: name, State: reconcile.InSync},
		})
	}
	return settings
}

// with returns a changed guard.
func with(g status.Guard, change func(*status.Guard)) status.Guard {
	change(&g)
	return g
}

var guardTests = map[string]struct {
	guard    status.Guard
	settings []reconcile.SettingStatus
	want     string
}{
	"off": {
		guardStatus(config.GuardOff, status.GuardOff),
		nil,
		"\nNo settings are configured.\n",
	},
	"a daemon without a guard": {status.Guard{}, nil, "\nNo settings are configured.\n"},
	"watching": {
		watchfulGuard(), nil,
		"guard:   watching, reports the pid, command and unit of writers,\n" +
			"         the network namespace of writes, who loads the module,\n" +
			"         and who writes hashsize through sysfs",
	},
	"watching, an old kernel": {
		with(guardStatus(config.GuardWatch, status.GuardWatching), func(g *status.Guard) {
			g.Names = []string{"unit"}
			g.Missing = []capability.Missing{
				{What: "pid and command of a writer", Why: "this kernel reports only the unit"},
			}
		}), nil,
		"guard:   watching, reports the unit of writers\n" +
			"         without pid and command of a writer: this kernel reports only the unit",
	},
	"watching, a missing capability": {
		with(guardStatus(config.GuardWatch, status.GuardWatching), func(g *status.Guard) {
			g.Names = []string{"pid", "unit"}
			for _, what := range []string{
				"the command of a writer",
				"who loads the module",
				"who writes hashsize through sysfs",
			} {
				g.Missing = append(g.Missing, capability.Missing{
					What: what,
					Why:  "CAP_PERFMON is missing",
					Hint: "install -m 0644 /usr/share/ctkeeper/guard-perfmon.conf && systemctl restart ctkeeper",
				})
			}
			g.Missing = append(g.Missing, capability.Missing{What: "x", Why: "of no use"})
		}), nil,
		"guard:   watching, reports the pid and unit of writers\n" +
			"         without the command of a writer, who loads the module,\n" +
			"         who writes hashsize through sysfs: CAP_PERFMON is missing;\n" +
			"         install -m 0644 /usr/share/ctkeeper/guard-perfmon.conf && systemctl restart ctkeeper\n" +
			"         without x: of no use",
	},
	"watching, without any identity": {
		guardStatus(config.GuardWatch, status.GuardWatching),
		nil,
		"guard:   watching, cannot identify writers",
	},
	"locked": {
		lockedGuard(), inSync("hashsize", "max", "expect_max", "udp_timeout", "net.netfilter.nf_new"),
		"guard:   locked: hashsize, max, expect_max refuse foreign writes; 3 refused,\n" +
			"         last max to 131072 by kube-proxy (pid 2211,\n" +
			"         container 4f0c8a21bd03 of pod 1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11) at 11:00:00\n" +
			"         reports the pid and unit of writers, and who loads the module\n" +
			"         blocks accidental changes, no defence against root\n" +
			"         may write: docker.service, system-kube.slice\n" +
			"         without the command of a writer: CAP_PERFMON is missing;\n" +
			"         install the drop-in guard-perfmon.conf\n" +
			"         without who writes hashsize through sysfs: this kernel has no fentry",
	},
	"locked, yesterday, by somebody": {
		with(guardStatus(config.GuardLock, status.GuardLocked), func(g *status.Guard) {
			g.Locked = []string{"max"}
			g.Refused = []status.BlockedWrites{refusal("max", 1, "", noon.Add(-24*time.Hour), sysfs.Writer{})}
		}), inSync("max", "udp_timeout"),
		"guard:   locked: max refuses foreign writes; 1 refused,\n" +
			"         last max to - by somebody at 2026-02-28 11:00:00\n         cannot identify writers",
	},
	"locked, nothing to lock": {
		guardStatus(config.GuardLock, status.GuardLocked), inSync("udp_timeout"),
		"guard:   locked: none of the configured settings can refuse writes; none refused\n" +
			"         cannot identify writers",
	},
	"holding": {
		with(guardStatus(config.GuardHold, status.GuardHolding), func(g *status.Guard) {
			g.Held, g.Names, g.Allow = []string{"max", "expect_max"}, []string{"unit"}, []string{"docker.service"}
			g.Note = "writes succeed without effect"
			g.Absorbed = []status.BlockedWrites{refusal("max", 3, "131072", noon, *kubeProxy())}
			g.Refused = []status.BlockedWrites{refusal("max", 9, "7", noon, *kubeProxy())} // by a former lock
		}), inSync("max", "expect_max"),
		"guard:   holding: max, expect_max absorb foreign writes; 3 absorbed,\n" +
			"         last max to 131072 by kube-proxy (pid 2211,\n" +
			"         container 4f0c8a21bd03 of pod 1f0d2c6e-8a51-4c36-9a52-0d6f8e1b7a11) at 11:00:00\n" +
			"         reports the unit of writers\n" +
			"         writes succeed without effect\n" +
			"         may write: docker.service",
	},
	"holding, one setting": {
		with(guardStatus(config.GuardHold, status.GuardHolding), func(g *status.Guard) { g.Held = []string{"max"} }),
		inSync("max"),
		"guard:   holding: max absorbs foreign writes; none absorbed\n         cannot identify writers",
	},
	"holding, nothing to hold": {
		guardStatus(config.GuardHold, status.GuardHolding), inSync("udp_timeout"),
		"guard:   holding: none of the configured settings can absorb writes;\n" +
			"         none absorbed\n         cannot identify writers",
	},
	"hold without effect": {
		with(guardStatus(config.GuardHold, status.GuardWatching), func(g *status.Guard) {
			g.Missing = []capability.Missing{{What: "hold", Why: "it needs 1", Hint: "sysctl -w a=1"}}
		}), inSync("max"),
		"guard:   watching, blocks nothing, cannot identify writers\n" +
			"         without hold: it needs 1; sysctl -w a=1",
	},
	"locked, in mode observe": {
		with(watchfulGuard(), func(g *status.Guard) {
			g.Mode, g.Names, g.Allow = "lock", []string{"unit"}, []string{"docker.service"}
		}), nil,
		"guard:   watching, blocks nothing in mode observe, reports the unit of writers\n" +
			"         may write: docker.service",
	},
	"unavailable": {
		with(guardStatus(config.GuardWatch, status.GuardUnavailable), func(g *status.Guard) {
			g.Error = "CAP_BPF is missing"
			g.Missing = []capability.Missing{
				{
					What: "the guard",
					Why:  "CAP_BPF is missing",
					Hint: "ln -s /usr/share/ctkeeper/guard.conf /etc/systemd/system/ctkeeper.service.d/, " +
						"then daemon-reload",
				},
			}
		}), nil,
		"guard:   NOT AVAILABLE: CAP_BPF is missing\n" +
			"         ln -s /usr/share/ctkeeper/guard.conf /etc/systemd/system/ctkeeper.service.d/, " +
			"then daemon-reload",
	},
	"unavailable, the error includes the reason and the hint": {
		with(guardStatus(config.GuardLock, status.GuardUnavailable), func(g *status.Guard) {
			g.Error = "cannot guard: there is no cgroup v2; boot with systemd.unified_cgroup_hierarchy=1"
			g.Allow = []string{"docker.service"}
			g.Missing = []capability.Missing{
				{
					What: "the guard",
					Why:  "there is no cgroup v2",
					Hint: "boot with systemd.unified_cgroup_hierarchy=1",
				},
				{What: "the unit of a writer", Why: "of another reason", Hint: "none"},
			}
		}), nil,
		"guard:   NOT AVAILABLE: cannot guard: there is no cgroup v2\n" +
			"         boot with systemd.unified_cgroup_hierarchy=1\n" +
			"         without the unit of a writer: of another reason; none\n         may write: docker.service",
	},
	"configured, not in effect": {
		guardStatus(config.GuardWatch, status.GuardOff),
		nil,
		"guard:   watch is configured but not in effect",
	},
}

func TestGuard(t *testing.T) {
	for name, tt := range guardTests {
		t.Run(name, func(t *testing.T) {
			s := status.Document{Daemon: status.Daemon{Running: true}, Guard: tt.guard, Settings: tt.settings}
			if strings.HasSuffix(name, "observe") {
				s.Daemon.Mode = reconcile.Observe
			}
			got := guardLines(t, s)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("guard (-want +got):\n%s", diff)
			}
			for line := range strings.SplitSeq(got, "\n") {
				if n := utf8.RuneCountInString(line); n > 110 {
					t.Errorf("%d columns: %s", n, line)
				}
			}
		})
	}
}

// Without a daemon the guard does not run.
func TestGuardWithoutDaemon(t *testing.T) {
	s := waiting()
	s.Guard = guardStatus(config.GuardLock, status.GuardOff)
	s.Guard.Allow = []string{"docker.service"}
	want := "guard:   lock is configured; only a running daemon runs it\n         may write: docker.service"
	if diff := cmp.Diff(want, guardLines(t, s)); diff != "" {
		t.Errorf("guard (-want +got):\n%s", diff)
	}
}

// A text of the host is not coloured, even if it equals one of ours.
func TestGuardInColour(t *testing.T) {
	s := waiting()
	s.Guard = guardStatus(config.GuardWatch, status.GuardUnavailable)
	s.Guard.Error = "NOT AVAILABLE is the name of a file"
	out := string(print(t, "table", func(p text.Printer) error {
		p.Colour = true
		return p.Status(s)
	}))
	want := "guard:   \x1b[33mNOT AVAILABLE\x1b[0m: NOT AVAILABLE is the name of a file\n"
	if !strings.Contains(out, want) {
		t.Errorf("no %q in:\n%s", want, out)
	}
}

// diff and its exit code depend on the settings alone, not on the guard.
func TestGuardIsNotADifference(t *testing.T) {
	without := inEffect()
	without.Guard = guardStatus(config.GuardOff, status.GuardOff)
	for _, state := range []status.GuardState{
		status.GuardOff,
		status.GuardWatching,
		status.GuardLocked,
		status.GuardUnavailable,
	} {
		with := without
		with.Guard = lockedGuard()
		with.Guard.State, with.Guard.Error = state, "CAP_BPF is missing"
		if with.Differs() || with.IsUncertain() {
			t.Errorf("%s: differs %t, uncertain %t", state, with.Differs(), with.IsUncertain())
		}
		for _, format := range text.Formats() {
			diff := func(s status.Document) string {
				return string(print(t, format, func(p text.Printer) error { return p.Diff(s) }))
			}
			if d := cmp.Diff(diff(without), diff(with)); d != "" {
				t.Errorf("%s, %s: diff (-without a guard +with it):\n%s", state, format, d)
			}
		}
	}
}
