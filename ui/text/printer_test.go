package text_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden holds got against testdata/name.golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// print returns what do writes in a format, in UTC.
func print(t *testing.T, format string, do func(text.Printer) error) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := do(text.Printer{Out: &out, Format: format, Zone: time.UTC, Now: noon.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 5e6, time.FixedZone("", 3600))

func number(n int64) *int64 { return &n }

// runningSettings are settings in each state.
var runningSettings = []reconcile.SettingStatus{
	{
		Comparison: reconcile.Comparison{
			Name:   "hashsize",
			Want:   sysfs.Number(10000),
			Policy: sysfs.AtLeast,
			Live:   sysfs.Number(10240),
			State:  reconcile.InSync,
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 2},
		},
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "max",
			Want:   sysfs.Number(1048576),
			Policy: sysfs.Exactly,
			Live:   sysfs.Number(1048576),
			State:  reconcile.InSync,
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 3},
		},
		Drifts: 2,
		LastDrift: &reconcile.Drift{
			At:         noon,
			Found:      sysfs.Number(65536),
			Cause:      reconcile.CauseModuleLoad,
			RepairedIn: reconcile.Duration(1234567),
		},
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "expect_max",
			Want:   sysfs.Number(8192),
			Policy: sysfs.Exactly,
			Live:   sysfs.Number(4096),
			State:  reconcile.Forbidden,
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 4},
			Error:  "permission denied\noperation not supported",
		},
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "udp_timeout",
			Want:   sysfs.Number(60),
			Policy: sysfs.AtMost,
			Live:   sysfs.Number(120),
			State:  reconcile.Contested,
			Origin: tree.Place{File: "/etc/ctkeeper/conf.d/10-nat.yaml", Line: 2},
		},
		Drifts: 11,
		LastDrift: &reconcile.Drift{
			At:    noon,
			Found: sysfs.Number(120),
			Cause: reconcile.CauseWrite,
			By:    kubeProxy(),
		},
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "acct",
			Want:   sysfs.Number(1),
			Policy: sysfs.Exactly,
			Live:   sysfs.Number(0),
			State:  reconcile.Drifted,
			Origin: tree.Place{File: "/etc/ctkeeper/conf.d/10-nat.yaml", Line: 3},
		},
		Drifts: 1,
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "helper",
			Want:   sysfs.Number(0),
			Policy: sysfs.Exactly,
			State:  reconcile.Unsupported,
			Origin: tree.Place{File: "/etc/ctkeeper/conf.d/10-nat.yaml", Line: 4},
		},
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "log_invalid",
			Want:   sysfs.Number(255),
			Policy: sysfs.Exactly,
			Live:   sysfs.Number(0),
			State:  reconcile.Failed,
			Origin: tree.Place{File: "/etc/ctkeeper/conf.d/10-nat.yaml", Line: 5},
			Error: "cannot write 255: write /proc/sys/net/netfilter/nf_conntrack_log_invalid: " +
				"invalid argument",
		},
	},
	{
		Comparison: reconcile.Comparison{
			Name:   "net.netfilter.nf_new",
			Want:   sysfs.TextValue("1 2"),
			Policy: sysfs.Exactly,
			Live:   sysfs.TextValue("1\t2"),
			State:  reconcile.InSync,
			Origin: tree.Place{File: "/etc/ctkeeper/conf.d/10-nat.yaml", Line: 6},
		},
	},
}

// running is a daemon's status with a setting in each state.
func running() status.Document {
	d := status.Document{
		Daemon: status.Daemon{
			Running: true, PID: 4711, Version: "0.1.0", Since: noon.Add(-time.Hour), Mode: reconcile.Enforce,
			Config: status.Config{
				OK:    true,
				Files: []string{"/etc/ctkeeper/ctkeeper.yaml", "/etc/ctkeeper/conf.d/10-nat.yaml"},
			},
		},
		Module:   status.Module{Name: "nf_conntrack", State: "loaded", Loads: 3, Parameters: parameters()},
		Table:    pressed(),
		Guard:    lockedGuard(),
		Settings: slices.Clone(runningSettings),
	}
	d.Judge()
	return d
}

// pressed is a table that fills, with a value in each field.
func pressed() status.Table {
	load := 1234.0 / 1024
	return status.Table{
		Figures: table.Figures{
			Entries:      number(1234),
			Max:          number(1400),
			Buckets:      number(1024),
			Expectations: number(8192),
			ExpectMax:    number(8192),
		},
		LoadFactor: &load,
		Counters: map[string]uint64{
			"entries":        1234,
			"found":          99,
			"drop":           1291,
			"early_drop":     40321,
			"insert_failed":  0,
			"search_restart": 7,
			"icmp_error":     1,
			"expect_create":  30,
		},
		State: table.State{
			Conditions: map[string]table.Condition{
				table.Connections:  {Level: table.High, Loss: table.Dropping, FullInSeconds: 372},
				table.Expectations: {Level: table.Critical, Loss: table.Refusing},
			},
			Rates: map[string]float64{"entries": 0.61, "drop": 12.3, "early_drop": 0.02, "search_restart": 0},
		},
		ByHelper: map[string]int64{
			"sip":                             8000,
			"ftp":                             60,
			"":                                60,
			"netbios-ns":                      30,
			"a-helper-with-quite-a-long-name": 40,
			"tftp":                            2,
		},
		KernelMessages: map[string]int64{"table-full": 3, "expectation-table-full": 0},
	}
}

// parameters are module parameters in each state.
func parameters() []status.Parameter {
	return []status.Parameter{
		{
			Name:   "acct",
			Want:   "1",
			Live:   "1",
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 8},
			State:  status.ParameterInSync,
			HeldBy: []string{},
		},
		{
			Name:   "expect_hashsize",
			Want:   "2048",
			Live:   "256",
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 9},
			State:  status.ParameterNeedsReload,
			HeldBy: []string{"xt_conntrack", "nft_ct"},
		},
		{
			Name:   "tstamp",
			Want:   "1",
			Live:   "0",
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 10},
			State:  status.ParameterNeedsReload,
			HeldBy: []string{},
		},
		{
			Name:   "enable_hooks",
			Want:   "1",
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 11},
			State:  status.ParameterUnknown,
			Error:  "the kernel does not show it",
			HeldBy: []string{},
		},
		{
			Name:   "nf_conntrack_helper",
			Want:   "0",
			Origin: tree.Place{File: "/etc/ctkeeper/ctkeeper.yaml", Line: 12},
			State:  status.ParameterUnsupported,
			HeldBy: []string{},
		},
	}
}

// needsReload is a host where nothing but module parameters differs, built into the
// kernel.
func needsReload() status.Document {
	s := inEffect()
	s.Module = status.Module{Name: "nf_conntrack", State: kmod.BuiltIn, Parameters: parameters()[2:3]}
	return s
}

// persisted is what ctkeeper persist did, with something of everything.
func persisted(dryRun bool) persist.Report {
	return persist.Report{
		DryRun: dryRun,
		Files: []persist.FileReport{
			{Path: persist.ModprobePath, Change: persist.Written},
			{Path: persist.ModulesLoadPath, Change: persist.Removed},
			{Path: persist.SysconfigPath, Change: persist.Unchanged},
			{Path: persist.UdevRulePath, Change: persist.Failed},
		},
		Diff:   "--- /dev/null\n+++ " + persist.ModprobePath + "\n@@ -0,0 +1 @@\n+options nf_conntrack hashsize=4096\n",
		Loaded: !dryRun,
		Notes:  []string{"a note"},
		Errors: []string{"cannot write"},
	}
}

// waiting is the status of a host without the module and without a daemon.
func waiting() status.Document {
	return status.Document{
		Daemon: status.Daemon{Mode: reconcile.Enforce, Config: status.Config{OK: true, Files: []string{}}},
		Module: status.Module{Name: "nf_conntrack", State: "absent", Parameters: []status.Parameter{}},
		Guard:  guardStatus(config.GuardOff, status.GuardOff),
		Settings: []reconcile.SettingStatus{
			{
				Comparison: reconcile.Comparison{
					Name:   "max",
					Want:   sysfs.Number(170880),
					Policy: sysfs.AtLeast,
					State:  reconcile.Pending,
					Origin: tree.Place{File: "(default)"},
				},
			},
		},
	}
}

func refused() status.Document {
	s := running()
	s.Settings, s.Module.Loads, s.Module.Parameters = nil, 1, nil
	s.Daemon.Sources = []status.Source{
		{Name: status.SourceModule, OK: true},
		{Name: status.SourceConfig, Error: "cannot watch: too many open files", Hint: "raise a sysctl"},
	}
	s.Daemon.Config.OK = false
	s.Daemon.Config.Error = "/etc/ctkeeper/ctkeeper.yaml:2:3: settings.hashsiez: " +
		"unknown key (did you mean hashsize?)\n" +
		"/etc/ctkeeper/ctkeeper.yaml:3:8: settings.max: \"lots\" is not a number (0 to 2147483647, or auto)"
	return s
}

func inEffect() status.Document {
	s := running()
	s.Settings, s.Module.Parameters = s.Settings[:2], parameters()[:1]
	return s
}

func TestGolden(t *testing.T) {
	printed := func(s status.Document) func(text.Printer) error {
		s.Judge()
		return func(p text.Printer) error { return p.Status(s) }
	}
	diff := func(s status.Document) func(text.Printer) error {
		return func(p text.Printer) error { return p.Diff(s) }
	}
	tests := []struct {
		name    string
		formats []string
		do      func(text.Printer) error
	}{
		{"status", text.Formats(), printed(running())},
		{"status-without-daemon", text.Formats(), printed(waiting())},
		{"status-refused-config", []string{"table"}, printed(refused())},
		{"diff", text.Formats(), diff(running())},
		{"diff-none", []string{"table"}, diff(inEffect())},
		{"diff-reload", []string{"table"}, diff(needsReload())},
		{"persist", text.Formats(), func(p text.Printer) error { return p.Persist(persisted(false)) }},
		{"persist-dry-run", []string{"table"}, func(p text.Printer) error { return p.Persist(persisted(true)) }},
		{"persist-idle", []string{"table"}, func(p text.Printer) error {
			return p.Persist(persist.Report{
				Files: []persist.FileReport{{Path: persist.ModprobePath, Change: persist.Unchanged}},
			})
		}},
		{"events", text.Formats(), printEvents},
		{"config", []string{"json", "yaml"}, printConfig(t)},
	}
	for _, test := range tests {
		for _, format := range test.formats {
			t.Run(test.name+"."+format, func(t *testing.T) {
				golden(t, test.name+"."+format, print(t, format, test.do))
			})
		}
	}
}

func printEvents(p text.Printer) error {
	for _, e := range []reconcile.Event{
		{At: noon, Kind: reconcile.KindModuleLoad, Message: "nf_conntrack was loaded"},
		{
			At:       noon.Add(time.Second),
			Kind:     reconcile.KindDrift,
			Setting:  "max",
			Want:     sysfs.Number(1048576),
			Found:    sysfs.Number(65536),
			Result:   reconcile.ResultRepaired,
			Cause:    reconcile.CauseModuleLoad,
			Duration: reconcile.Duration(1234567),
			Message:  "max was 65536, wanted 1048576: repaired in 1.23ms (cause: module-load)",
		},
		{
			At:      noon.Add(2 * time.Second),
			Kind:    reconcile.KindRefusedWrite,
			Setting: "max",
			Want:    sysfs.Number(1048576),
			Found:   sysfs.Number(131072),
			By:      kubeProxy(),
			Message: "max: " + kubeProxy().String() + " was refused 131072",
		},
	} {
		if err := p.Event(e); err != nil {
			return err
		}
	}
	return nil
}

func printConfig(t *testing.T) func(text.Printer) error {
	t.Helper()
	root := kerneltree.New(t)
	kerneltree.Put(t, root, config.DefaultMain, "settings:\n  hashsize: 10000\n  tcp_timeout_established: 24h\n")
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	return func(p text.Printer) error { return p.Config(cfg) }
}

func TestColourOnlyWhenAsked(t *testing.T) {
	plain := print(t, "table", func(p text.Printer) error { return p.Status(running()) })
	coloured := print(t, "table", func(p text.Printer) error {
		p.Colour = true
		return p.Status(running())
	})
	if bytes.ContainsRune(plain, '\x1b') {
		t.Error("colours that nobody asked for")
	}
	for _, want := range []string{
		"\x1b[32min-sync\x1b[0m", "\x1b[2munsupported\x1b[0m",
		"\x1b[31mdrifted\x1b[0m", "\x1b[31mcontested\x1b[0m", "\x1b[31mforbidden\x1b[0m", "\x1b[31mfailed\x1b[0m",
	} {
		if !bytes.Contains(coloured, []byte(want)) {
			t.Errorf("no %q", want)
		}
	}
	uncoloured := strings.NewReplacer(
		"\x1b[0m", "", "\x1b[2m", "", "\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "",
	).Replace(string(coloured))
	if diff := cmp.Diff(string(plain), uncoloured); diff != "" {
		t.Errorf("colours change more than colours (-plain +coloured):\n%s", diff)
	}
	for _, format := range []string{"json", "yaml"} {
		out := print(t, format, func(p text.Printer) error {
			p.Colour = true
			return p.Status(running())
		})
		if bytes.ContainsRune(out, '\x1b') {
			t.Errorf("colours in %s", format)
		}
	}
}

// Every value is read back from YAML and JSON as the same string.
func TestFormatsKeepValues(t *testing.T) {
	values := []string{
		"", " ", "~", "null", "true", "no", "10", "010", "0x1f", "1e3", ".5", "-", "- a", "a: b", "# a", "&a",
		"*a", "!a", "@a", "%a", "`a",
		"a\nb", "a\tb", "a\n", "'", `"`, `\`, "<a> & b", "ä", "\u2028", "😀", "\x7f", "\u0085", "\u009f",
		"\ufeff", "\uffff", "\x1b[31m", "\x00",
		"{a}", "[a]", "2026-03-01", "2026-03-01T12:00:00Z", "12:30:45", "=", "<<", strings.Repeat("long ", 2000),
	}
	for _, value := range values {
		for format, unmarshal := range map[string]func([]byte, any) error{
			"json": json.Unmarshal,
			"yaml": yaml.Unmarshal,
		} {
			var back map[string]any
			out := print(t, format, func(p text.Printer) error {
				return p.Document(map[string]string{"value": value}, nil)
			})
			if err := unmarshal(out, &back); err != nil {
				t.Errorf("%s of %q cannot be read: %v\n%s", format, value, err, out)
				continue
			}
			if diff := cmp.Diff(map[string]any{"value": value}, back); diff != "" {
				t.Errorf("%s of %q (-want +got):\n%s", format, value, diff)
			}
		}
	}
}

func TestKnown(t *testing.T) {
	for format, want := range map[string]bool{
		"table": true,
		"json":  true,
		"yaml":  true,
		"":      false,
		"JSON":  false,
		"xml":   false,
	} {
		if got := text.Known(format); got != want {
			t.Errorf("Known(%q) is %t, want %t", format, got, want)
		}
	}
}

func TestErrorOfOutput(t *testing.T) {
	for _, format := range text.Formats() {
		file, err := os.Open(os.DevNull) // opened for reading
		if err != nil {
			t.Fatal(err)
		}
		p := text.Printer{Out: file, Format: format}
		if err := p.Status(running()); err == nil {
			t.Errorf("%s: no error from an output that cannot be written", format)
		}
		if err := printEvents(p); err == nil {
			t.Errorf("%s: no error for events on an output that cannot be written", format)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}
