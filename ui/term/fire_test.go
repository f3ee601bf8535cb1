package term

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

// filled is the status of a host whose tables have so many entries, as the daemon reports it.
func filled(entries, limit, expectations, expectMax int64) status.Document {
	s := quiet()
	s.Table.Entries, s.Table.Max, s.Table.Expectations, s.Table.ExpectMax = &entries, &limit, &expectations, &expectMax
	s.Table.State = table.NewMonitor(1).State(table.Sample{At: after(5), Figures: s.Table.Figures})
	return s
}

// onFire is a host with a full table of connections, a contested setting, a refused configuration, an expectation
// table that a helper has filled, and settings that may not be written.
func onFire() status.Document {
	s := filled(262144, 262144, 1024, 1024)
	s.Daemon.Version, s.Daemon.Since = "0.1.0", after(-90*3600)
	s.Daemon.Config = status.Config{
		Error: "/etc/ctkeeper/ctkeeper.yaml:2:3: settings.hashsiez: unknown key (did you mean hashsize?)",
	}
	s.Table.ByHelper = map[string]int64{"sip": 1020, "ftp": 4}
	s.Table.Conditions[table.Connections] = table.Condition{
		Level: table.Critical, Loss: table.Dropping, Since: after(-1140),
	}
	s.Table.Counters = map[string]uint64{"drop": 18234, "early_drop": 911, "insert_failed": 3, "invalid": 120}
	s.Table.Rates = map[string]float64{"drop": 22.7, "early_drop": 0.2, "entries": 0}
	s.Table.Grown, s.Table.GrownSeconds = map[string]uint64{"drop": 340, "early_drop": 3}, 15
	contested := &s.Settings[1]
	contested.State, contested.Drifts, contested.Live = reconcile.Contested, 137, value("65536")
	contested.Since, contested.MemoryBytes = after(-600), 402653184
	contested.LastDrift = &reconcile.Drift{
		At: after(4), Found: sysfs.Number(65536), Cause: reconcile.CauseWrite,
		By: &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Unit: "kubelet.service"},
	}
	s.Settings[3].State, s.Settings[3].Live, s.Settings[3].Since = reconcile.Forbidden, value("432000"), after(-3600)
	s.Settings[3].Error = "open /proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established: permission denied: " +
		"CAP_NET_ADMIN is missing"
	return s
}

// sixHours is a daemon's history: a table that filled in the last half of an hour, and what was lost then.
func sixHours() historyMsg {
	var points historyMsg
	for i := -6 * 3600; i < 5; i += 15 {
		p := table.Point{At: after(i).Unix(), Max: 262144, Entries: 90000 + int64(i%3600)*10}
		if i > -1800 {
			p.Entries = min(90000+int64(i+1800)*250, 262144)
		}
		if i > -1100 {
			p.Dropped, p.Evicted = 300, 2
		}
		if i == -2000 {
			p.LostRaces = 3
		}
		points = append(points, p)
	}
	return points
}

func fireMessages() []tea.Msg {
	_, fight := contest()
	return append([]tea.Msg{firstStatus(onFire()), sixHours()}, fight...)
}

// fireScreens are of a host on which everything is wrong, and of tables with little or much use.
func fireScreens() map[string]screen {
	tiny := []tea.Msg{firstStatus(filled(17, 262144, 0, 1024))}
	for i := range 30 {
		tiny = append(tiny, statusMsg{at: after(6 + i), status: filled(int64(17-i%5), 262144, 0, 1024)})
	}
	healthy := filled(17, 262144, 0, 1024)
	healthy.Table.Counters = map[string]uint64{}
	long := many(40)
	for i := range 12 {
		long.Settings[i].State = reconcile.Failed
		long.Settings[i].Error = fmt.Sprintf("setting %d: the kernel refused it: invalid argument", i)
	}
	six := append(fireMessages(), typed("t")...)
	return map[string]screen{
		"fire":           {style{}, 80, 24, fireMessages()},
		"fire-colour":    {style{colour: true}, 80, 24, fireMessages()},
		"fire-ascii":     {style{ascii: true}, 80, 24, fireMessages()},
		"fire-120x40":    {style{}, 120, 40, fireMessages()},
		"fire-40x10":     {style{}, 40, 10, fireMessages()},
		"fire-six-hours": {style{}, 120, 40, six},
		"tiny":           {style{}, 80, 24, tiny},
		"many-problems":  {style{}, 80, 24, []tea.Msg{firstStatus(long)}},
		"no-counters":    {style{}, 80, 24, []tea.Msg{firstStatus(healthy)}},
	}
}

// keyScreens are of what keys change.
func keyScreens() map[string]screen {
	after := func(msgs []tea.Msg, keys ...tea.Msg) []tea.Msg { return append(msgs, keys...) }
	enter, escape := press(tea.KeyEnter, 0), press(tea.KeyEscape, 0)
	sixty := []tea.Msg{firstStatus(many(60)), drift(3, "net.netfilter.nf_setting_07", "1", "2")}
	return map[string]screen{
		"help":          {style{}, 80, 24, after(fireMessages(), typed("?")...)},
		"help-end":      {style{}, 80, 24, after(fireMessages(), typed("?G")...)},
		"help-40x10":    {style{}, 40, 10, after(fireMessages(), typed("?")...)},
		"problems":      {style{}, 80, 24, after(fireMessages(), typed("w")...)},
		"problems-end":  {style{}, 40, 10, after(fireMessages(), typed("wG")...)},
		"problems-none": {style{}, 80, 24, after([]tea.Msg{firstStatus(quiet())}, typed("w")...)},
		"paused":        {style{colour: true}, 80, 24, after(fireMessages(), typed("p")...)},
		"unfolded":      {style{}, 80, 24, after(fireMessages(), typed("j")...)},
		"folded":        {style{}, 80, 24, after(fireMessages(), enter)},
		"typing":        {style{}, 80, 24, after(sixty, typed("/07")...)},
		"filter":        {style{}, 80, 24, after(sixty, append(typed("/07"), enter)...)},
		"filter-none":   {style{}, 80, 24, after(sixty, append(typed("/xyz"), enter)...)},
		"filter-clear":  {style{}, 80, 24, after(sixty, append(typed("/07"), enter, escape)...)},
		"kind":          {style{}, 80, 24, after(fireMessages(), typed("ee")...)},
	}
}

// TestFill has tables from empty to full: the words, the bar and the colour say the same.
func TestFill(t *testing.T) {
	for _, test := range []struct {
		entries int64
		want    string
	}{
		{0, "[green].................... 0 of 1000, 0 %"},
		{1, "[green]#................... 1 of 1000, <1 %"},
		{790, "[green]###############..... 790 of 1000, 79 %"},
		{799, "[green]###############..... 799 of 1000, 79 %"},
		{800, "[yellow]################.... 800 of 1000, 80 %, high"},
		{949, "[yellow]##################.. 949 of 1000, 94 %, high"},
		{950, "[red]###################. 950 of 1000, 95 %, critical"},
		{996, "[red]###################. 996 of 1000, 99 %, critical"},
		{1000, "[red]#################### 1000 of 1000, 100 %, critical"},
		{1001, "[red]#################### 1001 of 1000, 100 %, critical"},
	} {
		m := modelAfter(style{ascii: true}, 80, 24, firstStatus(filled(test.entries, 1000, 0, 10)))
		l := m.bars()[0]
		names := map[string]string{green: "green", yellow: "yellow", red: "red"}
		got := fmt.Sprintf("[%s]%s%s%s", names[l[1].colour], l[1].text, l[2].text, l[3].text)
		if got != test.want {
			t.Errorf("%d entries: %s, want %s", test.entries, got, test.want)
		}
		if isPlain := l[3].colour == plain; isPlain != (l[1].colour == green) {
			t.Errorf("%d entries: the text has the colour %q", test.entries, l[3].colour)
		}
	}
	l := modelAfter(style{ascii: true}, 80, 24, firstStatus(filled(0, 1000, 10, 10))).bars()[1]
	if text := l[3].text; l[1].colour != red || text != " 10 of 10, 100 %, critical, refusing" {
		t.Errorf("full of expectations: %q in %q", text, l[1].colour)
	}
}

// TestFireFirst has the worst problem in the first two lines of every size.
func TestFireFirst(t *testing.T) {
	m := modelAfter(style{}, 80, 24, fireMessages()...)
	for _, width := range []int{30, 40, 80, 120, 200} {
		for height := 2; height <= 60; height++ {
			sized, _ := m.Update(tea.WindowSizeMsg{Width: width, Height: height})
			lines := strings.Split(sized.View().Content, "\n")
			if !strings.HasPrefix(lines[1], "CRITICAL The kernel drops") {
				t.Fatalf("%d x %d: the second line is %q", width, height, lines[1])
			}
		}
	}
}

func TestSpanText(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min", time.Hour: "1 h",
		47 * time.Hour: "47 h", 50 * time.Hour: "2 d",
	} {
		if got := spanText(d); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}

// FuzzProblem: a problem keeps all of its words, in lines that fit, without control sequences.
func FuzzProblem(f *testing.F) {
	f.Add("max is contested", "kube-proxy (pid 1)", "Stop that writer", 80)
	f.Add(evil, "接続追跡 の値", "a-b-c  d\u00a0e", 24)
	f.Add("👨\u200d👩\u200d👧 é", "e\u0301\u0301", strings.Repeat("/x", 50), 12)
	f.Fuzz(func(t *testing.T, text, by, do string, width int) {
		width = min(max(width, 30), 200)
		m := model{width: width, height: 24, zone: time.UTC}
		all := ""
		for _, l := range m.problem(status.Problem{Severity: status.Critical, Text: text, By: by, Do: do}) {
			drawn := m.draw(l, width)
			fits(t, drawn, m.style, width, 1)
			all += drawn
		}
		words := func(text string) string { return strings.Join(strings.Fields(text), "") }
		want := "CRITICAL" + m.clean(text) + "."
		if by != "" {
			want += "By " + m.clean(by) + "."
		}
		if want += m.clean(do); words(all) != words(want) {
			t.Errorf("%q, want %q", words(all), words(want))
		}
	})
}
