package text_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// tableLines are what status says of a table.
func tableLines(t *testing.T, s status.Table) string {
	t.Helper()
	out := string(print(t, "table", func(p text.Printer) error { return p.Status(status.Document{Table: s}) }))
	_, rest, _ := strings.Cut(out, "module:")
	_, rest, _ = strings.Cut(rest, "\n")
	lines, _, _ := strings.Cut(rest, "\n\n")
	return lines
}

func load(factor float64) *float64 { return &factor }

var tableTests = map[string]struct {
	table status.Table
	want  string
}{
	"filling": {
		status.Table{
			Figures: table.Figures{
				Entries:      number(833),
				Max:          number(1000),
				Buckets:      number(1024),
				Expectations: number(0),
				ExpectMax:    number(16),
			},
			LoadFactor: load(0.8134),
			Counters:   map[string]uint64{"drop": 12, "found": 7},
			State: table.State{
				Rates:      map[string]float64{"drop": 12, "entries": 0.46},
				Conditions: map[string]table.Condition{table.Connections: {FullInSeconds: 340}},
			},
		},
		"table:   833 of 1000 connections (83 %), 1024 buckets, load 0.8;\n         full in about 6 min\n" +
			"         0 of 16 expectations (0 %)\nlost:    12 dropped (12/s)",
	},
	"quiet, figures for root": {
		status.Table{
			Figures:  table.Figures{Entries: number(0), Max: number(0), ExpectMax: number(16)},
			ByHelper: map[string]int64{},
		},
		"table:   0 connections, no limit\n         ? of 16 expectations",
	},
	"large": {
		status.Table{
			Figures: table.Figures{
				Entries:      number(2147483646),
				Max:          number(2147483647),
				Buckets:      number(21474836),
				Expectations: number(1),
				ExpectMax:    number(2147483647),
			},
			LoadFactor: load(99.96),
			ByHelper:   map[string]int64{"": 1},
			Counters: map[string]uint64{
				"drop":          1 << 40,
				"early_drop":    1 << 40,
				"insert_failed": 1 << 40,
				"clashres":      1,
			},
			State: table.State{
				Conditions: map[string]table.Condition{
					table.Connections: {Level: table.Critical, FullInSeconds: 90000},
				},
				Rates: map[string]float64{"drop": 1e9, "early_drop": 9.94, "entries": -1e6},
			},
			KernelMessages: map[string]int64{"table-full": 1 << 40, "expectation-table-full": 1 << 40},
		},
		"table:   2147483646 of 2147483647 connections (99 %), critical,\n" +
			"         21474836 buckets, load 100.0; -1000000/s, full in about 25 h\n" +
			"         1 of 2147483647 expectations (<1 %): 1 without helper\n" +
			"lost:    1099511627776 dropped (1000000000/s), 1099511627776 evicted (9.9/s),\n" +
			"         1099511627776 lost races\ncounts:  1 resolved races\n" +
			"kernel:  logged \"expectation table full\" 1099511627776 times,\n" +
			"         logged \"table full\" 1099511627776 times",
	},
	"absent": {status.Table{}, "\nNo settings are configured.\n"},
}

func TestTable(t *testing.T) {
	for name, tt := range tableTests {
		t.Run(name, func(t *testing.T) {
			got := tableLines(t, tt.table)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("table (-want +got):\n%s", diff)
			}
			for line := range strings.SplitSeq(got, "\n") {
				if len(line) > 80 {
					t.Errorf("%d columns: %s", len(line), line)
				}
			}
		})
	}
}

// A table of settings takes at most 100 columns. Names of writers are cut, and the beginning of long paths.
func TestSettingsWidth(t *testing.T) {
	s := usual()
	settingsFit(t, s, "11:00 write 131072", "02-28 load 432000")
	s.Settings[0].LastDrift.By = &sysfs.Writer{PID: 812, Comm: "sysctl", Unit: "docker.service"}
	s.Settings[1].LastDrift.By = &sysfs.Writer{Unit: "docker.service"}
	settingsFit(t, s, "11:00 sysctl 1310…  ", "02-28 load docker…  ", "  ctkeeper.yaml:4")
	s.Settings[0].LastDrift.By = &sysfs.Writer{Unit: "cri-containerd-4f0c8a21bd03.scope"}
	s.Settings[1].Origin.File = "/usr/lib/ctkeeper/conf.d/50-the-defaults-of-our-gateways.yaml"
	settingsFit(t, s, "tcp_timeout_established  86400 ", "11:00 cri-conta…  ", "  …-gateways.yaml:3")
	s.Settings[0].Name, s.Settings[0].Live = strings.Repeat("n", 200), sysfs.Number(1<<60)
	settingsFit(t, s, "nnn…  ")
}

func usual() status.Document {
	return status.Document{Settings: []reconcile.SettingStatus{
		{
			Comparison: reconcile.Comparison{
				Name:   "max",
				Want:   sysfs.Number(1048576),
				Policy: sysfs.Exactly,
				Live:   sysfs.Number(1048576),
				State:  reconcile.InSync,
				Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 2},
			},
			Drifts: 2,
			LastDrift: &reconcile.Drift{
				At:         noon,
				Found:      sysfs.Number(131072),
				Cause:      reconcile.CauseWrite,
				RepairedIn: 645000,
			},
		},
		{
			Comparison: reconcile.Comparison{
				Name:   "tcp_timeout_established",
				Want:   sysfs.Number(86400),
				Policy: sysfs.Exactly,
				Live:   sysfs.Number(86400),
				State:  reconcile.InSync,
				Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 3},
			},
			Drifts: 1,
			LastDrift: &reconcile.Drift{
				At:    noon.Add(-24 * time.Hour),
				Found: sysfs.Number(432000),
				Cause: reconcile.CauseModuleLoad,
			},
		},
		{
			Comparison: reconcile.Comparison{
				Name:   "udp_timeout_stream",
				Want:   sysfs.Number(180),
				Policy: sysfs.AtLeast,
				Live:   sysfs.Number(180),
				State:  reconcile.InSync,
				Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 4},
			},
		},
	}}
}

// settingsFit holds that the settings have these texts and take at most 100 columns.
func settingsFit(t *testing.T, s status.Document, texts ...string) {
	t.Helper()
	out := string(print(t, "table", func(p text.Printer) error { return p.Status(s) }))
	for _, want := range texts {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	for line := range strings.SplitSeq(out, "\n") {
		if n := utf8.RuneCountInString(line); n > 100 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
