package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/page"
	"github.com/ctkeeper/ctkeeper/ui/term"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// look is what the kernel shows at one time: entries, and how often it has counted what is lost.
type look struct {
	entries, expectations int64
	counters              map[string]uint64
}

// agreement is what every view shows after the last of some looks, 5 s apart. The first look is at an empty table.
type agreement struct {
	name  string
	looks []look
	at    look
	// says is the problem's text, or the headline of a host without one.
	says     string
	severity status.Severity
	// reports is what the journal says, if that is something else.
	reports string
	// about is the table, and share what its fill is called.
	about, share string
	level        table.Level
	loss         table.Loss
	// alerts fire if it stays so.
	alerts []string
	// isSilent is true where the journal has nothing to report.
	isSilent bool
}

func full(entries int64, counters map[string]uint64) look {
	return look{entries: entries, counters: counters}
}

var agreements = []agreement{
	{
		name: "empty", at: full(0, nil), share: "0 %", level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is 0 % full: 0 of 1000 entries",
	},
	{
		name: "one entry", at: full(1, nil), share: "<1 %", level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is <1 % full: 1 of 1000 entries",
	},
	{
		name: "1 %", at: full(10, nil), share: "1 %", level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is 1 % full: 10 of 1000 entries",
	},
	{
		name: "79.9 %", at: full(799, nil), share: "79 %", level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is 79 % full: 799 of 1000 entries",
	},
	{
		name: "80 %", at: full(800, nil), share: "80 %", level: table.High, severity: status.Warning,
		says: "The connection table is 80 % full: 800 of 1000 entries", alerts: []string{"CtkeeperTableHigh"},
	},
	{
		name: "94.9 %", at: full(949, nil), share: "94 %", level: table.High, severity: status.Warning,
		says: "The connection table is 94 % full: 949 of 1000 entries", alerts: []string{"CtkeeperTableHigh"},
	},
	{
		name: "95 %", at: full(950, nil), share: "95 %", level: table.Critical, severity: status.Critical,
		says:   "The connection table is 95 % full: 950 of 1000 entries",
		alerts: []string{"CtkeeperTableCritical", "CtkeeperTableHigh"},
	},
	{
		name: "99.6 %", at: full(996, nil), share: "99 %", level: table.Critical, severity: status.Critical,
		says:   "The connection table is 99 % full: 996 of 1000 entries",
		alerts: []string{"CtkeeperTableCritical", "CtkeeperTableHigh"},
	},
	{
		name: "100 %", at: full(1000, nil), share: "100 %", level: table.Critical, severity: status.Critical,
		says:   "The connection table is full: 1000 of 1000 entries",
		alerts: []string{"CtkeeperTableCritical", "CtkeeperTableHigh"},
	},
	{
		name: "evicting", at: full(1000, map[string]uint64{"early_drop": 7}), share: "100 %", level: table.Critical,
		loss: table.Evicting, severity: status.Critical,
		says: "The kernel evicts connections without a reply for new ones, 7 connections in the last 5 s; " +
			"the connection table is full: 1000 of 1000 entries",
		alerts: []string{"CtkeeperEvicted", "CtkeeperTableCritical", "CtkeeperTableHigh"},
	},
	{
		name: "dropping", at: full(1000, map[string]uint64{"drop": 1, "early_drop": 7}), share: "100 %",
		level: table.Critical, loss: table.Dropping, severity: status.Critical,
		says: "The kernel drops new connections, 1 packet in the last 5 s; " +
			"the connection table is full: 1000 of 1000 entries",
		alerts: []string{"CtkeeperDropped", "CtkeeperEvicted", "CtkeeperTableCritical", "CtkeeperTableHigh"},
	},
	{
		// The views say what is; the journal also what was since the look before.
		name: "evicted, and flushed", at: full(300, map[string]uint64{"early_drop": 7}), share: "30 %",
		level: table.Normal, severity: status.Good,
		says: "The setting is in effect; the connection table is 30 % full: 300 of 1000 entries",
		reports: "the kernel evicts connections without a reply for new ones, 7 connections in the last 5 s; " +
			"the connection table is 30 % full: 300 of 1000 entries",
		alerts: []string{"CtkeeperEvicted"},
	},
	{
		name:  "recovering",
		looks: []look{full(1000, nil), full(1000, map[string]uint64{"drop": 5, "early_drop": 7})},
		at:    full(589, map[string]uint64{"drop": 5, "early_drop": 7}),
		share: "58 %", level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is 58 % full: 589 of 1000 entries",
	},
	{
		name: "a long chain", at: full(300, map[string]uint64{"chainlength": 3}), share: "30 %", level: table.Normal,
		severity: status.Critical, isSilent: true,
		says: "The kernel refuses connections whose chain in the hash table is too long, " +
			"3 connections in the last 5 s",
		alerts: []string{"CtkeeperRefusedForChain"},
	},
	{
		name: "lost races", at: full(300, map[string]uint64{"drop": 3, "insert_failed": 3}), share: "30 %",
		level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is 30 % full: 300 of 1000 entries",
	},
	{
		name: "invalid", at: full(300, map[string]uint64{"invalid": 3}), share: "30 %",
		level: table.Normal, severity: status.Good, isSilent: true,
		says: "The setting is in effect; the connection table is 30 % full: 300 of 1000 entries",
	},
	{
		name: "expectations at 80 %", at: look{expectations: 80}, about: table.Expectations, share: "80 %",
		level: table.High, severity: status.Warning,
		says: "The expectation table is 80 % full: 80 of 100 entries", alerts: []string{"CtkeeperExpectationsHigh"},
	},
	{
		name: "expectations at 95 %", at: look{expectations: 95}, about: table.Expectations, share: "95 %",
		level: table.Critical, severity: status.Critical,
		says:   "The expectation table is 95 % full: 95 of 100 entries",
		alerts: []string{"CtkeeperExpectationsCritical", "CtkeeperExpectationsHigh"},
	},
	{
		name: "expectations refused", at: look{expectations: 100}, about: table.Expectations, share: "100 %",
		level: table.Critical, loss: table.Refusing, severity: status.Critical,
		says: "The kernel refuses new expectations of helpers, and their calls and transfers fail; " +
			"the expectation table is full: 100 of 100 entries",
		alerts: []string{"CtkeeperExpectationsCritical", "CtkeeperExpectationsFull", "CtkeeperExpectationsHigh"},
	},
}

// sample returns what a look reads.
func (l look) sample(at time.Time) table.Sample {
	limit, buckets, expectMax := int64(1000), int64(1024), int64(100)
	s := table.Sample{
		At: at, Figures: table.Figures{Entries: &l.entries, Max: &limit, Buckets: &buckets,
			Expectations: &l.expectations, ExpectMax: &expectMax},
		Counters: map[string]uint64{"invalid": 0},
	}
	for _, c := range status.Counters() {
		s.Counters[c.Name] = l.counters[c.Name]
	}
	return s
}

// documents returns the status at the last two looks, and what the journal has of the last one.
func (a agreement) documents() (before, shown status.Document, journal []string) {
	monitor := table.NewMonitor(10)
	at := time.Now().Add(-time.Minute).Truncate(time.Second)
	document := func(s table.Sample) status.Document {
		d := status.Document{
			Daemon: status.Daemon{Running: true, Mode: reconcile.Enforce, Config: status.Config{OK: true}},
			Settings: []reconcile.SettingStatus{{Comparison: reconcile.Comparison{
				Name: "max", State: reconcile.InSync}}},
			Table: status.NewTable(s, monitor.State(s)),
		}
		d.Judge()
		return d
	}
	for _, l := range slices.Concat([]look{{}}, a.looks, []look{a.at}) {
		at, before, journal = at.Add(5*time.Second), shown, nil
		for _, p := range monitor.Add(l.sample(at)) {
			journal = append(journal, status.PressureMessage(p))
		}
		shown = document(l.sample(at))
	}
	return before, shown, journal
}

// fixed is a source of one document for every view.
type fixed struct{ status.Document }

func (f fixed) Status(context.Context) (status.Document, error) { return f.Document, nil }

func (f fixed) Counts(context.Context) (status.Counts, error) { return status.Counts{}, nil }

func (f fixed) Points(context.Context, time.Time) ([]table.Point, error) { return nil, nil }

func (f fixed) Events(context.Context, time.Time, bool, func(reconcile.Event) error) error {
	return nil
}

// follower is fixed for the view in a terminal.
type follower struct{ fixed }

func (f follower) Points(context.Context) ([]table.Point, error) { return nil, nil }

func (f follower) Events(ctx context.Context, _ func(reconcile.Event) error) error {
	<-ctx.Done()
	return nil
}

func TestViewsAgree(t *testing.T) {
	for _, a := range agreements {
		t.Run(a.name, func(t *testing.T) {
			a.about = cmp.Or(a.about, table.Connections)
			_, shown, journal := a.documents()
			a.check(t, shown, journal)
			a.checkText(t, shown)
			a.checkTerminal(t, shown)
			a.checkPage(t, shown)
		})
	}
}

// check checks the document, which is the JSON, and the journal.
func (a agreement) check(t *testing.T, d status.Document, journal []string) {
	t.Helper()
	c := d.Table.Conditions[a.about]
	worst := status.Good
	if len(d.Problems) > 0 {
		worst = d.Problems[0].Severity
	}
	if c.Level != a.level || c.Loss != a.loss || worst != a.severity || d.Headline != a.says {
		t.Errorf("%s, %q, %s: %s\nwant %s, %q, %s: %s", c.Level, c.Loss, worst, d.Headline,
			a.level, a.loss, a.severity, a.says)
	}
	var want []string
	if !a.isSilent {
		want = []string{cmp.Or(a.reports, "t"+strings.TrimPrefix(a.says, "T"))}
	}
	if diff := gocmp.Diff(want, journal); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
}

// checkText checks ctkeeper status, for people and programs, and its one line.
func (a agreement) checkText(t *testing.T, d status.Document) {
	t.Helper()
	print := func(format string, show func(text.Printer) error) string {
		var out bytes.Buffer
		if err := show(text.Printer{Out: &out, Format: format}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := a.says
	if a.severity != status.Good {
		first = string(a.severity) + ": " + first
	}
	got := print("table", func(p text.Printer) error { return p.Status(d) })
	if words := strings.Join(strings.Fields(got), " "); !strings.HasPrefix(words, first+".") ||
		!strings.Contains(words, "("+a.share+")") {
		t.Errorf("status does not begin with %q, or has no %s:\n%s", first, a.share, got)
	}
	got = print("table", func(p text.Printer) error { return p.Brief(d) })
	if got != "ctkeeper: "+a.says+"\n" {
		t.Errorf("status --brief: %s", got)
	}
	var document status.Document
	got = print("json", func(p text.Printer) error { return p.Status(d) })
	if err := json.Unmarshal([]byte(got), &document); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(d.Problems, document.Problems); diff != "" || document.Headline != a.says {
		t.Errorf("status -o json: %s (-want +got):\n%s", document.Headline, diff)
	}
}

// checkTerminal checks status --watch on a screen that is wide enough for every sentence.
func (a agreement) checkTerminal(t *testing.T, d status.Document) {
	t.Helper()
	p := newTerminal(t)
	size := &unix.Winsize{Row: 50, Col: 240}
	if err := unix.IoctlSetWinsize(int(p.slave.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var view sync.WaitGroup
	view.Go(func() {
		if err := term.Run(ctx, follower{fixed{d}}, term.Options{In: p.slave, Out: p.slave}); err != nil {
			t.Error(err)
		}
	})
	drawn := ""
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(10 * time.Millisecond) {
		drawn += p.take()
		screen := strings.ReplaceAll(ansi.Strip(drawn), " ", "")
		if strings.Contains(screen, strings.ReplaceAll(a.says, " ", "")) &&
			strings.Contains(screen, strings.ReplaceAll(a.share, " ", "")) {
			drawn = ""
			break
		}
	}
	cancel()
	view.Wait()
	if drawn != "" {
		t.Errorf("the terminal does not show %q and %s:\n%s", a.says, a.share, ansi.Strip(drawn))
	}
}

// checkPage checks the data of the page, which makes no sentence of its own.
func (a agreement) checkPage(t *testing.T, d status.Document) {
	t.Helper()
	var data struct {
		Status status.Document
	}
	if err := json.Unmarshal([]byte(answer(page.Handler(fixed{d}, "test"), "/v1/page")), &data); err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(d.Problems, data.Status.Problems); diff != "" || data.Status.Headline != a.says {
		t.Errorf("page: %s (-want +got):\n%s", data.Status.Headline, diff)
	}
}

// What is shown was read within the last second, by whichever view asks: the daemon's own look is up to 15 s old.
func TestViewsAreFresh(t *testing.T) {
	root := host(t, standing)
	start(t, root)
	client := status.NewClient(status.SocketPath(root))
	eventually(t, "the daemon answers", func() bool { _, err := client.Status(t.Context()); return err == nil })
	views := map[string]func() string{
		"status": func() string { return ctkeeper(t.Context(), "status", "--root", root).stdout },
		"metrics": func() string {
			return answer(metrics.New(client, func(error) {}).Handler(), "/metrics")
		},
		"page": func() string { return answer(page.Handler(client, "test"), "/v1/page") },
	}
	for n, entries := range []string{"54321", "61234"} {
		kerneltree.Put(t, root, "proc/net/stat/nf_conntrack", fmt.Sprintf("entries drop\n0 %x\n", 77001+n))
		kerneltree.Put(t, root, countFile, entries+"\n")
		kerneltree.Put(t, root, "proc/net/nf_conntrack_expect",
			strings.Repeat("- l3proto = 2 proto=17 src=192.0.2.1 dst=198.51.100.2 sport=0 dport=40 sip/audio\n", 501+n))
		time.Sleep(1100 * time.Millisecond)
		for name, view := range views {
			shown := view()
			for _, want := range []string{entries, strconv.Itoa(77001 + n), strconv.Itoa(501 + n)} {
				if !strings.Contains(shown, want) {
					t.Errorf("%s has no %s a second later:\n%s", name, want, shown)
				}
			}
		}
	}
}

// answer returns what a handler answers.
func answer(h http.Handler, path string) string {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, path, nil))
	return recorder.Body.String()
}
