package metrics

import (
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with a golden file, which -update rewrites.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (write it with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestReferenceIsCurrent(t *testing.T) { golden(t, "../docs/metrics.md", Reference()) }

// maxWant returns the want that max is 1.
func maxWant() sysfs.Want { return sysfs.Want{Setting: sysfs.Lookup("max"), Value: sysfs.Number(1)} }

func ptr(n int64) *int64 { return &n }

// value parses a live or wanted value as the kernel shows it; the empty text is an unknown value.
func value(text string) sysfs.Value {
	if text == "" {
		return sysfs.Value{}
	}
	return (&sysfs.Setting{}).Parse(text)
}

func setting(name, want string, policy sysfs.Policy, now string, state reconcile.State) reconcile.SettingStatus {
	return reconcile.SettingStatus{Comparison: reconcile.Comparison{
		Name: name, Want: value(want), Policy: policy, Live: value(now), State: state,
	}}
}

// busy returns the values of a host on which everything happens.
func busy() Now {
	return Now{
		Settings: []reconcile.SettingStatus{
			setting("hashsize", "262144", sysfs.AtLeast, "524288", reconcile.InSync),
			setting("max", "1048576", sysfs.Exactly, "65536", reconcile.Contested),
			setting("tcp_be_liberal", "1", sysfs.Exactly, "0", reconcile.Forbidden),
			setting("udp_timeout_stream", "180", sysfs.AtLeast, "", reconcile.Pending),
			setting("dccp_loose", "1", sysfs.Exactly, "", reconcile.Unsupported),
			setting("net.netfilter.nf_log.2", "nfnetlink log", sysfs.Exactly, "NONE", reconcile.Drifted),
		},
		Loaded: true, Loads: 3, ConfigOK: true, ConfigAt: time.UnixMilli(1_700_000_000_250),
		Table: table.Sample{
			Figures: table.Figures{Entries: ptr(60000), Max: ptr(65536), Buckets: ptr(524288), Expectations: ptr(6),
				ExpectMax: ptr(1024)},
			Counters: map[string]uint64{"entries": 60000, "drop": 17, "early_drop": 4, "insert_failed": 0},
		},
		ByHelper:  map[string]int64{"sip": 4, "ftp": 1, "": 1},
		Levels:    map[string]table.Level{table.Connections: table.High, table.Expectations: table.Normal},
		KernelLog: true, Guard: "locked",
	}
}

func drift(name, found string, cause reconcile.Cause, result reconcile.Result, took time.Duration) reconcile.Event {
	return reconcile.Event{Kind: reconcile.KindDrift, Setting: name, Want: sysfs.Number(1), Found: value(found),
		Cause: cause, Result: result, Duration: reconcile.Duration(took)}
}

// filled returns the metrics of the busy host after some events.
func filled() *Metrics {
	m := New("1.2.3", busy)
	m.Record(drift("max", "65536", reconcile.CauseStart, reconcile.ResultRepaired, 700*time.Microsecond))
	m.Record(drift("max", "65536", reconcile.CauseWrite, reconcile.ResultRepaired, 1500*time.Microsecond))
	m.Record(reconcile.Event{Kind: reconcile.KindContested, Setting: "max", Want: sysfs.Number(1),
		Found: sysfs.Number(65536), Cause: reconcile.CauseWrite})
	m.Record(reconcile.Event{Kind: reconcile.KindForbidden, Setting: "tcp_be_liberal", Result: reconcile.ResultFailed})
	m.Record(drift("net.netfilter.nf_log.2", "NONE", reconcile.CauseResync, reconcile.ResultObserved, 0))
	byProxy := drift("max", "131072", reconcile.CauseWrite, reconcile.ResultRepaired, time.Millisecond)
	byProxy.By = &sysfs.Writer{PID: 2211, Comm: "kube-proxy", Unit: "x.scope", Container: "4f0c", Pod: "1f0e"}
	m.Record(byProxy)
	m.Record(reconcile.RefusedWriteEvent(time.Now(), maxWant(), "2",
		&sysfs.Writer{PID: 7, Comm: "sysctl", Unit: "session-12.scope"}))
	m.RecordPass("start", 90*time.Microsecond)
	m.RecordPass("overflow+write", 2*time.Millisecond)
	m.RecordOverflow("write")
	m.RecordKernelMessage(TableFull)
	return m
}

// exposition returns the textfile, with go1 in place of the version of Go.
func exposition(t testing.TB, m *Metrics) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.WriteTextfile(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ctkeeper.prom"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), runtime.Version(), "go1")
}

// series returns the samples of an exposition that have one of the names.
func series(text string, names ...string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.ReplaceAll(line, " ", "{"), "{")
		if slices.Contains(names, name) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func nonzero(lines []string) []string {
	return slices.DeleteFunc(lines, func(line string) bool { return strings.HasSuffix(line, " 0") })
}

func TestExposition(t *testing.T) { golden(t, "testdata/busy.prom", exposition(t, filled())) }

func TestExpositionWithoutTheModule(t *testing.T) {
	m := New("1.2.3", func() Now {
		return Now{Settings: []reconcile.SettingStatus{setting("max", "1048576", sysfs.Exactly, "", reconcile.Pending)}}
	})
	golden(t, "testdata/absent.prom", exposition(t, m))
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(filled().own)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
}

func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		netns.Cannot(t, "no promtool: apt-get install prometheus")
	}
	server := httptest.NewRecorder()
	filled().Handler().ServeHTTP(server, httptest.NewRequest("GET", "/metrics", nil))
	for name, text := range map[string]string{"served": server.Body.String(), "textfile": exposition(t, filled())} {
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// Every metric of the reference is served, and no other.
func TestReferenceIsComplete(t *testing.T) {
	text := exposition(t, filled())
	var served, documented []string
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (.*)$`).FindAllStringSubmatch(text, -1) {
		served = append(served, line[1])
	}
	for _, f := range families() {
		documented = append(documented, f.name+" "+f.kind)
	}
	slices.Sort(documented)
	if diff := cmp.Diff(documented, served); diff != "" {
		t.Errorf("metrics (-reference +served):\n%s", diff)
	}
}
