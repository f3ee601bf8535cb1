package term

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/capability"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var start = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// after returns a time of the tests.
func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

func n(v int64) *int64 { return &v }

// value is a live or wanted value as the kernel shows it; the empty text is an unknown value.
func value(text string) sysfs.Value {
	if text == "" {
		return sysfs.Value{}
	}
	return (&sysfs.Setting{}).Parse(text)
}

func setting(name, want, now string, state reconcile.State) reconcile.SettingStatus {
	return reconcile.SettingStatus{Comparison: reconcile.Comparison{
		Name:   name,
		Want:   value(want),
		Policy: "exactly",
		Live:   value(now),
		State:  state,
		Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 3},
	}}
}

// quiet is the status of a host without a problem.
func quiet() status.Document {
	s := status.Document{
		Daemon: status.Daemon{
			Running: true,
			PID:     4711,
			Since:   start,
			Mode:    reconcile.Enforce,
			Config:  status.Config{OK: true},
		},
		Module: status.Module{Name: "nf_conntrack", State: "loaded", Loads: 2},
		Settings: []reconcile.SettingStatus{
			setting("hashsize", "262144", "262144", reconcile.InSync),
			setting("max", "1048576", "1048576", reconcile.InSync),
			setting("expect_max", "8192", "8192", reconcile.InSync),
			setting("tcp_timeout_established", "86400", "86400", reconcile.InSync),
		},
		Table: status.Table{
			Figures: table.Figures{
				Entries:      n(1234),
				Max:          n(1048576),
				Buckets:      n(262144),
				Expectations: n(3),
				ExpectMax:    n(8192),
			},
			Counters: map[string]uint64{"drop": 5, "early_drop": 1},
			ByHelper: map[string]int64{"ftp": 3},
		},
	}
	s.Settings[1].Drifts = 2
	s.Settings[1].LastDrift = &reconcile.Drift{
		At:    after(-90),
		Found: sysfs.Number(65536),
		Cause: reconcile.CauseModuleLoad,
	}
	s.Settings[3].Policy = "at_least"
	return s
}

// many is a host with so many settings.
func many(count int) status.Document {
	s := quiet()
	s.Settings = nil
	for i := range count {
		s.Settings = append(
			s.Settings, setting(fmt.Sprintf("net.netfilter.nf_setting_%02d", i), "1", "1", reconcile.InSync),
		)
	}
	s.Settings[count-1].State, s.Settings[count-1].Live = reconcile.Failed, value("0")
	s.Settings[count-1].Error = "the kernel refused it: invalid argument"
	return s
}

// filling returns samples of a table that fills, a second apart, and drops in the end.
func filling(s status.Document) []tea.Msg {
	var msgs []tea.Msg
	for i := range 40 {
		s.Table.Entries = n(int64(i) * int64(i) * 640)
		if i >= 35 {
			s.Table.Counters = map[string]uint64{"drop": 5 + uint64(i-34)*10, "early_drop": 1}
		}
		msgs = append(msgs, statusMsg{at: after(i), status: s})
	}
	return msgs
}

func firstStatus(s status.Document) tea.Msg {
	return statusMsg{at: after(5), status: s}
}

func drift(second int, name, found, want string) tea.Msg {
	return eventMsg{
		At: after(second), Kind: reconcile.KindDrift, Setting: name, Found: value(found), Want: value(want),
		Message: fmt.Sprintf("%s was %s, wanted %s: repaired in 1.2ms (cause: write)", name, found, want),
	}
}

func contest() (status.Document, []tea.Msg) {
	s := quiet()
	s.Settings[1].State, s.Settings[1].Drifts, s.Settings[1].Live = reconcile.Contested, 137, value("65536")
	s.Settings[1].LastDrift = &reconcile.Drift{At: after(4), Found: sysfs.Number(65536), Cause: reconcile.CauseWrite}
	return s, []tea.Msg{drift(1, "max", "65536", "1048576"), drift(2, "max", "65536", "1048576"), eventMsg{
		At: after(3), Kind: reconcile.KindContested, Setting: "max",
		Message: "max is contested: another writer keeps changing it (or the kernel does not keep it), " +
			"last to 65536; wanted 1048576. Repairing it less often now, at least every 30s",
	}}
}

// guarded is the status of a host with a guard.
func guarded(mode config.GuardMode, state status.GuardState) status.Document {
	s, _ := contest()
	s.Settings[1].LastDrift.By = &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Unit: "kubelet.service"}
	s.Settings[3].Drifts, s.Settings[3].LastDrift = 1, &reconcile.Drift{
		At:    after(2),
		Found: sysfs.Number(432000),
		Cause: reconcile.CauseWrite,
		By:    &sysfs.Writer{Unit: "docker.service"},
	}
	s.Settings[0].Drifts, s.Settings[0].LastDrift = 1, &reconcile.Drift{
		At:    after(2),
		Found: sysfs.Number(1),
		Cause: reconcile.CauseWrite,
		By:    &sysfs.Writer{PID: 9},
	}
	s.Guard = status.Guard{Mode: string(mode), State: state}
	if state == status.GuardUnavailable {
		s.Guard.Error = "CAP_BPF is missing; the drop-in guard.conf gives it"
		return s
	}
	s.Guard.Missing = []capability.Missing{
		{What: "the command of a writer", Why: "CAP_PERFMON is missing"},
		{What: "who loads the module"},
	}
	return s
}

// locking is the status of a host whose guard refused writes to two settings.
func locking() (status.Document, []tea.Msg) {
	s := guarded(config.GuardLock, status.GuardLocked)
	hashsize := status.BlockedWrites{Setting: "hashsize", Count: 1}
	limit := status.BlockedWrites{Setting: "max", Count: 2}
	hashsize.Last.At, hashsize.Last.Value = after(1), "8192"
	limit.Last.At, limit.Last.Value, limit.Last.By = after(3), "131072", *s.Settings[1].LastDrift.By
	s.Guard.Refused = []status.BlockedWrites{hashsize, limit}
	return s, []tea.Msg{eventMsg{
		At: after(3), Kind: reconcile.KindRefusedWrite, Setting: "max", Found: sysfs.Number(131072), By: &limit.Last.By,
		Message: "max: kube-proxy (pid 2211, kubelet.service) was refused 131072",
	}}
}

// holding is the same status of a guard that absorbed the writes.
func holding() status.Document {
	s, _ := locking()
	s.Guard.Mode, s.Guard.State, s.Guard.Absorbed, s.Guard.Refused = "hold", status.GuardHolding, s.Guard.Refused, nil
	return s
}

const evil = "\x1b]0;owned\x07\x1b[2J\x1b[31m\u202egnp\x00\r\n\tend\xff\u0085"

func hostile() (status.Document, []tea.Msg) {
	s := quiet()
	s.Settings[0].Live = sysfs.TextValue(evil)
	s.Settings[1].Name = "max" + evil
	s.Settings[2].Name, s.Settings[2].Want, s.Settings[2].Live = "expect_max", value("接続追跡の値"), value("👨‍👩‍👧 é")
	s.Settings[3].Error = evil
	s.Module.State = evil
	s.Daemon.Mode = evil
	writer := sysfs.Writer{PID: 1, Comm: evil, Unit: evil, Container: evil, Pod: evil}
	s.Settings[1].LastDrift.By = &writer
	refused := status.BlockedWrites{Setting: evil, Count: 1}
	refused.Last.At, refused.Last.Value, refused.Last.By = after(3), evil, writer
	s.Guard = status.Guard{
		Mode:    "lock",
		State:   status.GuardLocked,
		Missing: []capability.Missing{{What: evil}},
		Refused: []status.BlockedWrites{refused},
	}
	s.Daemon.Config = status.Config{Error: "/etc/" + evil + ":2:3: unknown key\n" + evil}
	return s, []tea.Msg{eventMsg{At: after(3), Kind: reconcile.KindFailed, Message: "max was " + evil}}
}

// screen is the case of a golden file: the style and the size, and the messages to the model.
type screen struct {
	style         style
	width, height int
	msgs          []tea.Msg
}

func screens() map[string]screen {
	all := map[string]screen{}
	for _, some := range []map[string]screen{
		daemonScreens(), tableScreens(), settingScreens(), guardScreens(), fireScreens(), keyScreens(),
	} {
		maps.Copy(all, some)
	}
	return all
}

// daemonScreens are of a daemon that runs, is stopped, does not answer, or has refused its configuration.
func daemonScreens() map[string]screen {
	gone := quiet()
	gone.Daemon = status.Daemon{Mode: reconcile.Enforce, Config: status.Config{OK: true}}
	never := gone
	hung := gone
	hung.Daemon.Error = "cannot ask the daemon: context deadline exceeded"
	refused := quiet()
	refused.Daemon.Config = status.Config{
		Error: "/etc/ctkeeper/ctkeeper.yaml:2:3: settings.hashsiez: unknown key (did you mean hashsize?)\n" +
			"/etc/ctkeeper/ctkeeper.yaml:3:8: settings.max: \"lots\" is not a number (0 to 2147483647, or auto)",
	}
	refused.Daemon.Sources = []status.Source{{Name: status.SourceConfig, Error: "too many open files"}}
	unknown := refused
	unknown.Daemon.Running, unknown.Settings = false, nil
	return map[string]screen{
		"asking":    {style{}, 80, 24, nil},
		"quiet":     {style{}, 80, 24, []tea.Msg{firstStatus(quiet())}},
		"no-daemon": {style{}, 80, 24, []tea.Msg{firstStatus(never)}},
		"daemon-gone": {
			style{}, 80, 24,
			[]tea.Msg{
				firstStatus(quiet()),
				statusMsg{at: after(7), status: gone},
				statusMsg{at: after(9), status: gone},
			},
		},
		"daemon-back": {
			style{}, 80, 24,
			[]tea.Msg{
				firstStatus(quiet()),
				statusMsg{at: after(7), status: gone},
				statusMsg{at: after(9), status: quiet()},
			},
		},
		"daemon-hung": {style{}, 80, 24, []tea.Msg{firstStatus(quiet()), statusMsg{at: after(12), status: hung}}},
		"failed": {
			style{}, 80, 24,
			[]tea.Msg{firstStatus(quiet()), statusMsg{at: after(7), err: errors.New("cannot read it")}},
		},
		"refused":         {style{}, 80, 24, []tea.Msg{firstStatus(refused)}},
		"refused-40x10":   {style{}, 40, 10, []tea.Msg{firstStatus(refused)}},
		"refused-unknown": {style{}, 80, 24, []tea.Msg{firstStatus(unknown)}},
	}
}

// tableScreens are of the table, from absent to full, and of many settings.
func tableScreens() map[string]screen {
	absent := quiet()
	absent.Module.State, absent.Table = "absent", status.Table{}
	for i := range absent.Settings {
		absent.Settings = append([]reconcile.SettingStatus(nil), absent.Settings...)
		absent.Settings[i].State, absent.Settings[i].Live = reconcile.Pending, value("")
	}
	full := quiet()
	full.Table.Max, full.Table.Expectations = n(1000000), n(7000)
	full.Table.ByHelper = map[string]int64{"sip": 6990, "": 3, "ftp": 4, "h323": 2, "tftp": 1}
	full.Table.State = table.State{
		Conditions: map[string]table.Condition{
			table.Connections:  {Level: table.Critical, Loss: table.Dropping, FullInSeconds: 83},
			table.Expectations: {Level: table.High, FullInSeconds: 5400},
		},
	}
	full.Module.Parameters = []status.Parameter{
		{Name: "expect_hashsize", Live: "256", Want: "2048", State: status.ParameterNeedsReload},
	}
	unlimited := quiet()
	unlimited.Table.Max = n(0)
	pressure := eventMsg{
		At: after(34), Kind: reconcile.KindTablePressure,
		Pressure: reconcile.Pressure{
			Table: table.Connections, Level: string(table.Critical), Loss: string(table.Dropping),
		},
		Message: "the kernel drops new connections, 10 packets in the last 5 s; the connection table is 97 % full: " +
			"973440 of 1000000 entries",
	}
	fill := append(
		filling(full), pressure,
		drift(12, "max", "65536", "1048576"),
		drift(33, "tcp_timeout_established", "432000", "86400"),
	)
	return map[string]screen{
		"filling":        {style{}, 80, 24, fill},
		"filling-colour": {style{colour: true}, 80, 24, fill},
		"filling-ascii":  {style{ascii: true}, 80, 24, fill},
		"filling-120x40": {style{}, 120, 40, fill},
		"filling-40x10":  {style{}, 40, 10, fill},
		"filling-20x5":   {style{}, 20, 5, fill},
		"absent":         {style{}, 80, 24, []tea.Msg{statusMsg{at: after(5), status: absent}}},
		"unlimited":      {style{}, 80, 24, []tea.Msg{firstStatus(unlimited)}},
		"sixty":          {style{}, 80, 24, []tea.Msg{firstStatus(many(60))}},
		"sixty-end":      {style{}, 80, 24, []tea.Msg{firstStatus(many(60)), tea.KeyPressMsg{Code: tea.KeyEnd}}},
	}
}

// settingScreens are of a contested setting, and of settings with control characters.
func settingScreens() map[string]screen {
	contested, fight := contest()
	bad, evils := hostile()
	return map[string]screen{
		"contested":        {style{}, 80, 24, append([]tea.Msg{firstStatus(contested)}, fight...)},
		"contested-colour": {style{colour: true}, 80, 24, append([]tea.Msg{firstStatus(contested)}, fight...)},
		"contested-40x10":  {style{}, 40, 10, append([]tea.Msg{firstStatus(contested)}, fight...)},
		"hostile":          {style{}, 80, 24, append([]tea.Msg{firstStatus(bad)}, evils...)},
		"hostile-ascii":    {style{ascii: true}, 80, 24, append([]tea.Msg{firstStatus(bad)}, evils...)},
	}
}

func guardScreens() map[string]screen {
	watched := guarded(config.GuardWatch, status.GuardWatching)
	unguarded := guarded(config.GuardLock, status.GuardUnavailable)
	bad, evils := hostile()
	worse := bad
	worse.Guard = status.Guard{Mode: evil, State: status.GuardUnavailable, Error: evil}
	worse.Settings = append([]reconcile.SettingStatus(nil), bad.Settings...)
	worse.Settings[1].LastDrift = &reconcile.Drift{
		At:    after(3),
		Found: sysfs.TextValue(evil),
		Cause: evil,
		By:    &sysfs.Writer{Unit: evil},
	}
	idle := guarded(config.GuardLock, status.GuardWatching)
	idle.Guard.Missing = nil
	idle.Daemon.Mode = reconcile.Observe
	alone := quiet()
	alone.Daemon = status.Daemon{Mode: reconcile.Enforce, Config: status.Config{OK: true}}
	alone.Guard = status.Guard{Mode: "lock", State: status.GuardOff}
	locked, refusals := locking()
	return map[string]screen{
		"guard-watching":  {style{}, 80, 24, []tea.Msg{firstStatus(watched)}},
		"guard-observe":   {style{}, 80, 24, []tea.Msg{firstStatus(idle)}},
		"guard-locked":    {style{}, 80, 24, append([]tea.Msg{firstStatus(locked)}, refusals...)},
		"guard-holding":   {style{}, 120, 24, []tea.Msg{firstStatus(holding())}},
		"guard-120x40":    {style{}, 120, 40, append([]tea.Msg{firstStatus(locked)}, refusals...)},
		"guard-40x10":     {style{}, 40, 10, append([]tea.Msg{firstStatus(locked)}, refusals...)},
		"guard-missing":   {style{colour: true}, 80, 24, []tea.Msg{firstStatus(unguarded)}},
		"guard-no-daemon": {style{}, 80, 24, []tea.Msg{firstStatus(alone)}},
		"guard-hostile":   {style{}, 80, 24, append([]tea.Msg{firstStatus(worse)}, evils...)},
	}
}

// modelAfter returns a model after messages.
func modelAfter(st style, width, height int, msgs ...tea.Msg) model {
	m := tea.Model(model{style: st, host: "web1", zone: time.UTC})
	for _, msg := range append([]tea.Msg{tea.WindowSizeMsg{Width: width, Height: height}}, msgs...) {
		if s, isStatus := msg.(statusMsg); isStatus {
			s.status.Judge()
			msg = s
		}
		m, _ = m.Update(msg)
	}
	return m.(model)
}

func TestScreens(t *testing.T) {
	for name, s := range screens() {
		t.Run(name, func(t *testing.T) {
			got := modelAfter(s.style, s.width, s.height, s.msgs...).View().Content
			fits(t, got, s.style, s.width, s.height)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got+"\n"); diff != "" {
				t.Errorf("screen (-want +got):\n%s", diff)
			}
		})
	}
}

// Every screen fits into every size, and holds nothing that a terminal interprets.
func TestEverySize(t *testing.T) {
	for name, s := range screens() {
		m := modelAfter(s.style, s.width, s.height, s.msgs...)
		for _, width := range []int{0, 1, 13, 40, 81, 300} {
			for _, height := range []int{0, 1, 2, 3, 4, 5, 7, 10, 24, 44} {
				sized, _ := m.Update(tea.WindowSizeMsg{Width: width, Height: height})
				fits(t, sized.View().Content, s.style, width, height)
				if t.Failed() {
					t.Fatalf("%s at %d×%d", name, width, height)
				}
			}
		}
	}
}

// fits fails the test if a screen is too large, or holds anything but text and its colours.
func fits(t *testing.T, screen string, st style, width, height int) {
	t.Helper()
	lines := strings.Split(screen, "\n")
	if len(lines) > max(height, 1) {
		t.Errorf("%d lines of %d", len(lines), height)
	}
	for _, l := range lines {
		if w := ansi.StringWidth(l); w > width {
			t.Errorf("%d columns of %d: %q", w, width, l)
		}
		text := l
		if st.colour {
			for _, c := range []string{faint, bold, red, green, yellow, reset} {
				text = strings.ReplaceAll(text, c, "")
			}
		}
		for _, r := range text {
			if !unicode.IsPrint(r) || st.ascii && r > '~' {
				t.Errorf("%q in %q", r, l)
			}
		}
	}
}
