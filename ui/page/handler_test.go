package page

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/table"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// here is the status that the handler's tests serve: a table that is nearly full, a contested setting, and a parameter
// that needs a reload.
var here = func() status.Document {
	n := func(n int64) *int64 { return &n }
	d := status.Document{
		Daemon: status.Daemon{
			Running: true, Config: status.Config{OK: true},
			Sources: []status.Source{{Name: "inotify", Error: "no watches"}},
		},
		Guard: status.Guard{Mode: "lock", State: status.GuardWatching},
		Module: status.Module{
			Name: "<here>", Parameters: []status.Parameter{{Name: "acct", State: status.ParameterNeedsReload}},
		},
		Settings: []reconcile.SettingStatus{
			{Comparison: reconcile.Comparison{Name: "max", State: reconcile.InSync}},
			{Comparison: reconcile.Comparison{Name: "acct", State: reconcile.Contested}},
		},
		Table: status.Table{
			Figures: table.Figures{Entries: n(833), Max: n(1000), Expectations: n(3), ExpectMax: n(0)},
			State: table.State{
				Conditions: map[string]table.Condition{table.Connections: {Level: table.High, FullInSeconds: 372}},
			},
		},
	}
	d.Judge()
	return d
}()

// fixed is a source that never changes, with one event and one point a minute. It fails at the request that err
// names.
type fixed struct {
	status status.Document
	err    string
}

func (f fixed) fail(request string) error {
	if request == f.err {
		return errors.New("the daemon is away")
	}
	return nil
}

func (f fixed) Status(context.Context) (status.Document, error) { return f.status, f.fail("status") }

func (f fixed) Events(_ context.Context, since time.Time, _ bool, each func(reconcile.Event) error) error {
	for i := range 3 {
		if at := began.Add(time.Duration(i) * time.Minute); at.After(since) {
			if err := each(reconcile.Event{At: at, Kind: reconcile.KindDrift, Setting: "max"}); err != nil {
				return err
			}
		}
	}
	return f.fail("events")
}

func (f fixed) Points(_ context.Context, since time.Time) ([]table.Point, error) {
	var points []table.Point
	for i := range int64(3) {
		if at := began.Unix() + 60*i; at > since.Unix() {
			points = append(points, table.Point{At: at, Entries: i, Max: 2, Losses: table.Losses{Evicted: i}})
		}
	}
	return points, f.fail("points")
}

func get(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Handler(fixed{status: here}, "/metrics").ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		method, target, contentType, cache string
		status                             int
	}{
		{"GET", "/", "text/html; charset=utf-8", "no-cache", 200},
		{"HEAD", "/", "text/html; charset=utf-8", "no-cache", 200},
		{"GET", "/page.css", "text/css; charset=utf-8", "no-cache", 200},
		{"GET", "/page.js", "text/javascript; charset=utf-8", "no-cache", 200},
		{"GET", "/hours.js", "text/javascript; charset=utf-8", "no-cache", 200},
		{"GET", "/v1/page", "application/json", "no-store", 200},
		{"GET", "/v1/page?since=2026-03-01T12:00:00.5%2B01:00", "application/json", "no-store", 200},
		{"GET", "/v1/page?since=yesterday", "text/plain; charset=utf-8", "no-store", 400},
		{"GET", "/page.html", "text/plain; charset=utf-8", "no-store", 404},
		{"GET", "/assets/page.html", "text/plain; charset=utf-8", "no-store", 404},
		{"GET", "/v1/status", "text/plain; charset=utf-8", "no-store", 404},
		{"GET", "/index.html", "text/plain; charset=utf-8", "no-store", 404},
		{"POST", "/", "text/plain; charset=utf-8", "no-store", 405},
		{"DELETE", "/v1/page", "text/plain; charset=utf-8", "no-store", 405},
		{"PUT", "/page.js", "text/plain; charset=utf-8", "no-store", 405},
	} {
		r := get(t, test.method, test.target)
		got := []any{r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control")}
		if diff := cmp.Diff([]any{test.status, test.contentType, test.cache}, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.method, test.target, diff)
		}
		want := map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
				"connect-src 'self'; img-src 'self' data:; " +
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":       "nosniff",
			"Referrer-Policy":              "no-referrer",
			"Cross-Origin-Resource-Policy": "same-origin",
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s %s: %s is %q, want %q", test.method, test.target, name, got, value)
			}
		}
	}
}

// A browser revalidates the page each time: 304 for the newest, 200 for an older one.
func TestPageIsRevalidated(t *testing.T) {
	tag := get(t, "GET", "/page.js").Header.Get("ETag")
	if r := get(t, "GET", "/page.js", "If-None-Match", tag); r.StatusCode != http.StatusNotModified {
		t.Errorf("the newest page: status %d, want 304", r.StatusCode)
	}
	if r := get(t, "GET", "/page.js", "If-None-Match", `"older"`); r.StatusCode != http.StatusOK {
		t.Errorf("an older page: status %d, want 200", r.StatusCode)
	}
}

// The page's data has the words, shares and severities of the package status.
func TestData(t *testing.T) {
	before := time.Now()
	var answer document
	if err := json.Unmarshal([]byte(body(t, get(t, "GET", "/v1/page"))), &answer); err != nil {
		t.Fatal(err)
	}
	if answer.At.Before(before) || answer.At.After(time.Now()) {
		t.Errorf("answered at %s, asked at %s", answer.At, before)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := document{
		At: answer.At, Status: here, Host: host, Metrics: "./metrics", Severity: status.Critical,
		Counters: status.Counters(),
		Levels:   []level{{table.High, 80, status.Warning}, {table.Critical, 95, status.Critical}},
		Tables: map[string]fill{
			table.Connections:  {status.Warning, "83 %", "full in about 6 min"},
			table.Expectations: {Severity: status.Good},
		},
		States: map[reconcile.State]status.Severity{
			reconcile.InSync: status.Good, reconcile.Contested: status.Critical,
		},
		Guard: guard{status.Warning, "watching, blocks nothing"}, NotWatched: here.Daemon.SourcesDown(),
		SettingsText: "1 of 2 settings in effect, 1 contested",
		Parameters:   map[status.ParameterState]status.Severity{status.ParameterNeedsReload: status.Warning},
		Units:        map[string]string{"max": "connections"},
		Events:       answer.Events, Points: answer.Points,
	}
	if diff := cmp.Diff(want, answer, cmpopts.EquateEmpty(), cmp.Comparer(equalValues)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func equalValues(a, b sysfs.Value) bool { return a.String() == b.String() }

func TestEventsAndPointsSince(t *testing.T) {
	events := []string{
		`{"at":"2026-03-01T12:00:00Z","event":"drift","setting":"max","message":"","severity":"warning"}`,
		`{"at":"2026-03-01T12:01:00Z","event":"drift","setting":"max","message":"","severity":"warning"}`,
		`{"at":"2026-03-01T12:02:00Z","event":"drift","setting":"max","message":"","severity":"warning"}`,
	}
	const point = `{"at":%d,"entries":%d,"max":2,"expectations":0,"expect_max":0,"dropped":0,"evicted":%[2]d,` +
		`"refused":0,"lost_races":0,"share":"%d %%","expect_share":""}`
	points := []string{
		fmt.Sprintf(point, 1772366400, 0, 0), fmt.Sprintf(point, 1772366460, 1, 50),
		fmt.Sprintf(point, 1772366520, 2, 100),
	}
	for query, n := range map[string]int{
		"": 0, "?since=2026-03-01T12:01:00Z": 2, "?since=2026-03-01T13:02:00%2B01:00": 3,
	} {
		want := `"events":[` + strings.Join(events[n:], ",") + `],"points":[` + strings.Join(points[n:], ",") + `]}`
		if got := body(t, get(t, "GET", "/v1/page"+query)); !strings.HasSuffix(got, want) {
			t.Errorf("%q: want at the end\n%s\ngot\n%s", query, want, got)
		}
	}
}

// The address of the metrics is relative, so that it works behind a proxy with a prefix, and has no scheme.
func TestLinkToMetrics(t *testing.T) {
	for path, want := range map[string]string{"/metrics": "./metrics", "/{other path}": "./%7Bother%20path%7D"} {
		w := httptest.NewRecorder()
		Handler(fixed{}, path).ServeHTTP(w, httptest.NewRequest("GET", "/v1/page", nil))
		if want = `"metrics":"` + want + `"`; !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: want %s in %s", path, want, w.Body)
		}
	}
}

func TestStatusThatIsNoJSON(t *testing.T) {
	nan := math.NaN()
	w := httptest.NewRecorder()
	Handler(fixed{status: status.Document{Table: status.Table{LoadFactor: &nan}}}, "/metrics").ServeHTTP(
		w, httptest.NewRequest("GET", "/v1/page", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d, want 500", w.Code)
	}
}

// A source that fails is an error with its reason, never half an answer.
func TestSourceFails(t *testing.T) {
	for _, request := range []string{"status", "events", "points"} {
		w := httptest.NewRecorder()
		Handler(fixed{err: request}, "/metrics").ServeHTTP(w, httptest.NewRequest("GET", "/v1/page", nil))
		if w.Code != http.StatusBadGateway || w.Body.String() != "the daemon is away\n" {
			t.Errorf("without %s: %d %s", request, w.Code, w.Body)
		}
	}
}

// The page is complete in itself, and holds nothing that its policy forbids.
func TestPageIsSelfContained(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		"somebody else's address": regexp.MustCompile(`(?i)[a-z]+://|["'(]//`),
		"an inline handler":       regexp.MustCompile(`(?i)<[^>]*\son[a-z]+\s*=`),
		"an inline style":         regexp.MustCompile(`(?i)<style|<[^>]*\sstyle\s*=|setAttribute\(\s*["']style`),
		"an inline script":        regexp.MustCompile(`(?i)<script(?:\s+[^>]*)?>\s*[^<\s]`),
		"text taken as markup": regexp.MustCompile(
			`innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|srcdoc`,
		),
		"text taken as a program":  regexp.MustCompile(`\beval\(|\bFunction\(|javascript:|setTimeout\(\s*["'` + "`]"),
		"style of somebody else's": regexp.MustCompile(`@import|@font-face|url\(`),
	}
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		for why, pattern := range forbidden {
			if found := pattern.Find(text); found != nil {
				t.Errorf("%s holds %s: %q", path, why, found)
			}
		}
		name := strings.TrimPrefix(path, "assets/")
		if name == "page.html" {
			name = ""
		}
		if served := body(t, get(t, "GET", "/"+name)); served != string(text) {
			t.Errorf("%s is not served as it is", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
