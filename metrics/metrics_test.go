package metrics

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
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

// fakeDaemon answers with documents that have been JSON, as those of the socket.
type fakeDaemon struct {
	status status.Document
	counts status.Counts
	err    error
}

func (f fakeDaemon) Status(context.Context) (d status.Document, err error) {
	return d, errors.Join(f.err, roundTrip(f.status, &d))
}

func (f fakeDaemon) Counts(context.Context) (c status.Counts, err error) {
	return c, errors.Join(f.err, roundTrip(f.counts, &c))
}

func roundTrip(from, to any) error {
	text, err := json.Marshal(from)
	return errors.Join(err, json.Unmarshal(text, to))
}

// busy returns the daemon of a host on which everything happened.
func busy() fakeDaemon {
	d := status.Document{
		Daemon: status.Daemon{Version: "1.2.3", Commit: "0123456789ab", GoVersion: "go1",
			Config: status.Config{OK: true, Hash: "43c7b13cfdbe", At: time.UnixMilli(1_700_000_000_250)}},
		Kernel: "6.1.0-42-amd64",
		Module: status.Module{State: kmod.Loaded, Loads: 3},
		Settings: []reconcile.SettingStatus{
			setting("hashsize", "262144", sysfs.AtLeast, "524288", reconcile.InSync),
			setting("max", "1048576", sysfs.Exactly, "65536", reconcile.Contested),
			setting("tcp_be_liberal", "1", sysfs.Exactly, "0", reconcile.Forbidden),
			setting("udp_timeout_stream", "180", sysfs.AtLeast, "", reconcile.Pending),
			setting("dccp_loose", "1", sysfs.Exactly, "", reconcile.Unsupported),
			setting("net.netfilter.nf_log.2", "nfnetlink log", sysfs.Exactly, "NONE", reconcile.Drifted),
		},
		Table: status.Table{
			Figures: table.Figures{Entries: ptr(60000), Max: ptr(65536), Buckets: ptr(524288), Expectations: ptr(6),
				ExpectMax: ptr(1024)},
			Counters: map[string]uint64{"entries": 60000, "drop": 17, "early_drop": 4, "insert_failed": 0},
			State: table.State{
				Conditions: map[string]table.Condition{
					table.Connections: {Level: table.High}, table.Expectations: {Level: table.Normal},
				},
			},
			ByHelper: map[string]int64{"sip": 4, "ftp": 1, "": 1},
		},
		Guard: status.Guard{State: status.GuardLocked},
	}
	d.Settings[0].Since = time.UnixMilli(1_700_000_000_250)
	d.Settings[1].Since = time.UnixMilli(1_700_000_100_500)
	d.Settings[1].LastDrift = &reconcile.Drift{At: time.UnixMilli(1_700_000_200_750)}
	return fakeDaemon{status: d, counts: busyCounts(d.Settings)}
}

// busyCounts has every series of the settings, which are 0 unless they are listed.
func busyCounts(settings []reconcile.SettingStatus) status.Counts {
	labels := func(setting, cause, result, by string) status.Labels {
		return status.Labels{Setting: setting, Cause: cause, Result: result, By: by}
	}
	drifts := map[status.Labels]int64{labels("max", "write", "", "container/kube-proxy"): 1}
	repairs := map[status.Labels]int64{}
	for _, s := range settings {
		for _, cause := range []string{"start", "config", "module-load", "write", "resync"} {
			drifts[labels(s.Name, cause, "", "")] = 0
		}
		for _, result := range []string{"repaired", "observed", "failed"} {
			repairs[labels(s.Name, "", result, "")] = 0
		}
	}
	drifts[labels("max", "start", "", "")], drifts[labels("max", "write", "", "")] = 1, 2
	drifts[labels("net.netfilter.nf_log.2", "resync", "", "")] = 1
	repairs[labels("max", "", "repaired", "")], repairs[labels("tcp_be_liberal", "", "failed", "")] = 3, 1
	repairs[labels("net.netfilter.nf_log.2", "", "observed", "")] = 1
	list := func(counts map[status.Labels]int64) (list []status.Count) {
		for l, n := range counts {
			list = append(list, status.Count{Labels: l, Count: n})
		}
		return list
	}
	return status.Counts{
		Drifts: list(drifts), Repairs: list(repairs),
		RefusedWrites:  []status.Count{{Labels: labels("max", "", "", "session-*.scope"), Count: 1}},
		AbsorbedWrites: []status.Count{{Labels: labels("max", "", "", "kube-proxy.service"), Count: 2}},
		Passes: map[string]int64{"start": 1, "config": 0, "module": 0, "write": 1, "resync": 0, "overflow": 1,
			"guard": 0},
		Overflows:      map[string]int64{"module": 0, "write": 1, "guard": 0},
		KernelMessages: map[string]int64{status.TableFull: 1, status.ExpectationsFull: 0},
		RepairDuration: histogramOf(3, .0032, 1e-4, 0, 2.5e-4, 0, 5e-4, 0, 1e-3, 2, 2.5e-3, 3, 5e-3, 3, .01, 3, .025, 3,
			.05, 3, .1, 3, .25, 3, .5, 3, 1, 3, 2.5, 3, 5, 3, 10, 3),
		PassDuration: histogramOf(2, .00209, 1e-5, 0, 2.5e-5, 0, 5e-5, 0, 1e-4, 1, 2.5e-4, 1, 5e-4, 1, 1e-3, 1, 5e-3, 2,
			.025, 2, .1, 2, .5, 2, 2.5, 2, 10, 2),
	}
}

// histogramOf returns a histogram from pairs of a bound and a count.
func histogramOf(count int64, sum float64, buckets ...float64) status.Histogram {
	h := status.Histogram{Count: count, Sum: sum}
	for i := 0; i < len(buckets); i += 2 {
		h.Buckets = append(h.Buckets, status.Bucket{UpTo: buckets[i], Count: int64(buckets[i+1])})
	}
	return h
}

// of returns the metrics of a daemon.
func of(daemon fakeDaemon) *Metrics { return New(daemon, func(error) {}) }

// exposition returns the textfile.
func exposition(t testing.TB, m *Metrics) string {
	t.Helper()
	dir := t.TempDir()
	if err := m.WriteTextfile(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ctkeeper.prom"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
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

func TestExposition(t *testing.T) { golden(t, "testdata/busy.prom", exposition(t, of(busy()))) }

func TestExpositionWithoutTheModule(t *testing.T) {
	golden(t, "testdata/absent.prom", exposition(t, of(fakeDaemon{status: status.Document{
		Daemon:   status.Daemon{Version: "1.2.3", Commit: "0123456789ab", GoVersion: "go1"},
		Module:   status.Module{State: kmod.Absent},
		Settings: []reconcile.SettingStatus{setting("max", "1048576", sysfs.Exactly, "", reconcile.Pending)},
	}})))
}

// Of a daemon that does not answer there is nothing but that; its last values are gone.
func TestDaemonIsGone(t *testing.T) {
	var failed []error
	daemon := busy()
	m := New(&daemon, func(err error) { failed = append(failed, err) })
	if got := series(exposition(t, m), up, moduleLoaded); !slices.Equal(got, []string{
		"ctkeeper_module_loaded 1", "ctkeeper_up 1"}) {
		t.Errorf("while it runs: %q", got)
	}
	refused := errors.New("connection refused")
	daemon.err = refused
	text := exposition(t, m)
	if got := strings.Count(text, "\n"); got != 3 || !strings.HasSuffix(text, "\nctkeeper_up 0\n") {
		t.Errorf("of a daemon that is gone:\n%s", text)
	}
	daemon.err = context.Canceled
	_ = exposition(t, m)
	if len(failed) != 2 || failed[0] != nil || !errors.Is(failed[1], refused) {
		t.Errorf("reported %v", failed)
	}
}

func TestScrapeTimeout(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 5 * time.Second, "10": 5 * time.Second, "3": 2500 * time.Millisecond, "0.5": 5 * time.Second,
		"-1": 5 * time.Second, "NaN": 5 * time.Second, "x": 5 * time.Second, "+Inf": 5 * time.Second,
	} {
		r := httptest.NewRequest("GET", "/metrics", nil)
		r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", header)
		if got := scrapeTimeout(r); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(of(busy()).gatherer(t.Context()))
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
	of(busy()).Handler().ServeHTTP(server, httptest.NewRequest("GET", "/metrics", nil))
	for name, text := range map[string]string{"served": server.Body.String(), "textfile": exposition(t, of(busy()))} {
		check := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// Every metric of the reference is served, and no other.
func TestReferenceIsComplete(t *testing.T) {
	text := exposition(t, of(busy()))
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
