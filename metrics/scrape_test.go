package metrics

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

func TestGauges(t *testing.T) {
	many := map[string]int64{"ftp": 100, "other": 7, "none": 9, "": 5, "sip\xff": 60}
	for i := range 40 {
		many[fmt.Sprintf("h%02d", i)] = 50
	}
	columns := map[string]uint64{"a\xff": 3}
	for i := range 100 {
		columns[fmt.Sprintf("c%03d", i)] = 3
	}
	with := func(t status.Table) status.Document { return status.Document{Table: t} }
	tests := []struct {
		name   string
		now    status.Document
		series []string
		count  int
		want   []string
	}{
		{"no limit", with(status.Table{Figures: table.Figures{Max: ptr(0), ExpectMax: ptr(-1)}}),
			[]string{conntrackLimit, expectationsLimit}, 2,
			[]string{`ctkeeper_conntrack_limit +Inf`, `ctkeeper_expectations_limit +Inf`}},
		{"no limit on 5.10, and a limit of 0",
			with(status.Table{Figures: table.Figures{Max: ptr(-1), ExpectMax: ptr(0)}}),
			[]string{conntrackLimit, expectationsLimit}, 2,
			[]string{`ctkeeper_conntrack_limit +Inf`, `ctkeeper_expectations_limit 0`}},
		{"helpers are limited to the largest", with(status.Table{ByHelper: many}),
			[]string{expectationsByHelper}, 33, []string{
				`ctkeeper_expectations_by_helper{helper="ftp"} 100`,
				`ctkeeper_expectations_by_helper{helper="other"} 521`,
				"ctkeeper_expectations_by_helper{helper=\"sip\uFFFD\"} 60",
			}},
		{"helpers that are called none", with(status.Table{ByHelper: map[string]int64{"": 5, "none": 9}}),
			[]string{expectationsByHelper}, 1,
			[]string{`ctkeeper_expectations_by_helper{helper="none"} 14`}},
		{"columns are limited", with(status.Table{Counters: columns}), []string{conntrackStatTotal}, 64,
			[]string{"ctkeeper_conntrack_stat_total{event=\"a\uFFFD\"} 3"}},
		{"levels", with(status.Table{State: table.State{Conditions: map[string]table.Condition{
			table.Connections: {Level: table.Critical}, table.Expectations: {Level: "odd"}, "odd": {Level: table.High},
		}}}),
			[]string{tablePressure}, 1,
			[]string{`ctkeeper_table_pressure{table="connections"} 2`}},
		{"one name twice", status.Document{Settings: []reconcile.SettingStatus{
			setting("a\xff", "1", sysfs.Exactly, "2", reconcile.Drifted),
			setting("a\xfe", "3", sysfs.Exactly, "3", reconcile.InSync),
		}}, []string{settingLive}, 1, []string{"ctkeeper_setting_live{setting=\"a\uFFFD\"} 2"}},
		{"a kernel log that is not read", status.Document{}, []string{kernelMessagesTotal}, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := series(exposition(t, of(fakeDaemon{status: test.now})), test.series...)
			if len(got) != test.count {
				t.Errorf("%d series, want %d", len(got), test.count)
			}
			for _, line := range test.want {
				if !slices.Contains(got, line) {
					t.Errorf("no %s in\n%s", line, strings.Join(got, "\n"))
				}
			}
		})
	}
}

func TestGuardState(t *testing.T) {
	for state, want := range map[status.GuardState]string{
		"": "off", "off": "off", "watching": "watching", "locked": "locked", "unavailable": "unavailable",
	} {
		text := exposition(t, of(fakeDaemon{status: status.Document{Guard: status.Guard{State: state}}}))
		for _, line := range series(text, guardState) {
			if isOn := strings.HasSuffix(line, " 1"); isOn != strings.Contains(line, `"`+want+`"`) {
				t.Errorf("%q: %s", state, line)
			}
		}
	}
}

func TestHandler(t *testing.T) {
	tests := []struct{ name, header, value, contentType, encoding, contains, ends string }{
		{"text", "Accept", "text/plain", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "",
			"\nctkeeper_conntrack_entries 60000\n", "\n"},
		{"OpenMetrics", "Accept", "application/openmetrics-text; version=1.0.0", "application/openmetrics-text; " +
			"version=1.0.0; charset=utf-8; escaping=underscores", "", "\nctkeeper_conntrack_entries 60000.0\n",
			"# EOF\n"},
		{"compressed", "Accept-Encoding", "gzip", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
			"gzip", "\nprocess_resident_memory_bytes ", "\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			request := httptest.NewRequest("GET", "/metrics", nil)
			request.Header.Set(test.header, test.value)
			answer := httptest.NewRecorder()
			of(busy()).Handler().ServeHTTP(answer, request)
			if diff := cmp.Diff([]any{200, test.contentType, test.encoding},
				[]any{answer.Code, answer.Header().Get("Content-Type"),
					answer.Header().Get("Content-Encoding")}); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			var body io.Reader = answer.Body
			if test.encoding != "" {
				var err error
				if body, err = gzip.NewReader(answer.Body); err != nil {
					t.Fatal(err)
				}
			}
			text, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(text, []byte(test.contains)) || !bytes.HasSuffix(text, []byte(test.ends)) {
				t.Errorf("want %q in it and %q at its end:\n%s", test.contains, test.ends, text)
			}
		})
	}
}

func TestWriteTextfile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ctkeeper.prom"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := of(busy()).WriteTextfile(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "ctkeeper.prom" {
		t.Errorf("directory has %v", entries)
	}
	if info, err := entries[0].Info(); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ctkeeper.prom"))
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"\nprocess_", "\ngo_"} {
		if bytes.Contains(text, []byte(foreign)) {
			t.Errorf("%q in the textfile; node_exporter exports its own", foreign)
		}
	}
}

func TestWriteTextfileErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "taken/ctkeeper.prom"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"missing": "cannot write " + dir + "/missing/ctkeeper.prom: no such file or directory",
		"taken":   "cannot write " + dir + "/taken/ctkeeper.prom: file exists",
	} {
		err := of(busy()).WriteTextfile(t.Context(), filepath.Join(dir, name))
		if err == nil {
			t.Fatalf("%s: no error", name)
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "taken/ctkeeper.prom?*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// A directory in which others can put something in place of the file is refused, and no other file is touched.
func TestWriteTextfileAmongOthers(t *testing.T) {
	if os.Getuid() != 0 {
		netns.Cannot(t, "only root can change the owner of a directory")
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		uid  int
		mode os.FileMode
		want string // after the path of the file
	}{
		{0, 0o755, ""},
		{0, 0o777, ""}, // the user who runs the exporter made it so
		{65534, 0o755, ": others can write to DIR (uid 65534, mode 0755): " +
			"run the exporter as its owner, or chown 0 DIR and chmod go-w DIR"},
	} {
		dir := t.TempDir()
		link := filepath.Join(dir, Textfile)
		err := errors.Join(os.Symlink(secret, link), os.Chown(dir, test.uid, 0), os.Chmod(dir, test.mode))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := of(busy()).WriteTextfile(t.Context(), dir); err != nil {
			got = strings.ReplaceAll(strings.TrimPrefix(err.Error(), "cannot write "+link), dir, "DIR")
		}
		if got != test.want {
			t.Errorf("uid %d, mode %v: %q, want %q", test.uid, test.mode, got, test.want)
		}
		if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() != (test.want == "") {
			t.Errorf("uid %d, mode %v: %v %v", test.uid, test.mode, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(secret)
	info, failed := os.Stat(secret)
	if err != nil || failed != nil || string(text) != "secret" || info.Mode() != 0o600 {
		t.Errorf("the other file is %q, %v", text, info.Mode())
	}
}

// BenchmarkScrape scrapes 50 settings. Its time does not grow with the table.
func BenchmarkScrape(b *testing.B) {
	for _, size := range []int64{0, 10_000, 1_000_000} {
		b.Run(fmt.Sprintf("entries=%d", size), func(b *testing.B) {
			now := busy().status
			now.Settings = nil
			for i := range 50 {
				now.Settings = append(now.Settings,
					setting(fmt.Sprintf("setting_%02d", i), "600", sysfs.Exactly, "600", reconcile.InSync))
			}
			now.Table.Entries, now.Table.Expectations = &size, &size
			now.Table.ByHelper = map[string]int64{"sip": size, "ftp": size}
			handler := of(fakeDaemon{status: now, counts: busyCounts(now.Settings)}).Handler()
			request := httptest.NewRequest("GET", "/metrics", nil)
			request.Header.Set("Accept-Encoding", "gzip")
			for b.Loop() {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				b.ReportMetric(float64(answer.Body.Len()), "bytes")
			}
		})
	}
}
