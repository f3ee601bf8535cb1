package daemon

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// ask asks the status socket once.
func (r *running) ask(method, path string) (code int, body string, header http.Header) {
	r.t.Helper()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", r.socket)
		},
	}}
	request, err := http.NewRequestWithContext(r.t.Context(), method, "http://ctkeeper"+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

func TestSocketAnswers(t *testing.T) {
	d := start(t, kerneltree.New(t), "settings: {max: 100000}\n")
	d.wait("a point", func() bool { _, body, _ := d.ask("GET", "/v1/points"); return body != "" })
	for _, test := range []struct {
		method, path string
		code         int
		contentType  string
		contains     string
	}{
		{"GET", "/v1/status", 200, "application/json", `"load_factor":0`},
		{"GET", "/v1/status", 200, "application/json", `"go_version":"go1.`},
		{"GET", "/v1/counts", 200, "application/json", `{"setting":"max","cause":"start","count":1}`},
		{"GET", "/v1/counts", 200, "application/json", `{"setting":"max","cause":"write","count":0}`},
		{"GET", "/v1/counts", 200, "application/json", `{"setting":"max","result":"repaired","count":1}`},
		{"GET", "/v1/counts", 200, "application/json", `"start":1,`},
		{"GET", "/v1/events", 200, "application/x-ndjson", `"event":"config-loaded"`},
		{"GET", "/v1/points", 200, "application/x-ndjson", `"max":100000,`},
		{"GET", "/v1/points?since=2099-01-01T00:00:00Z", 200, "application/x-ndjson", ""},
		{"GET", "/v1/points?since=x", 400, "text/plain; charset=utf-8", "since is not an RFC 3339 time"},
		{"GET", "/v1/events?since=x", 400, "text/plain; charset=utf-8", "since is not an RFC 3339 time"},
		{"HEAD", "/v1/status", 200, "application/json", ""},
		{"POST", "/v1/status", 405, "text/plain; charset=utf-8", "Method Not Allowed"},
		{"DELETE", "/v1/counts", 405, "text/plain; charset=utf-8", "Method Not Allowed"},
		{"GET", "/metrics", 404, "text/plain; charset=utf-8", "404"},
		{"GET", "/", 404, "text/plain; charset=utf-8", "404"},
	} {
		code, body, header := d.ask(test.method, test.path)
		if code != test.code || header.Get("Content-Type") != test.contentType ||
			!strings.Contains(body, test.contains) {
			t.Errorf("%s %s: %d %s, want %d %s and %q:\n%.500s", test.method, test.path, code,
				header.Get("Content-Type"), test.code, test.contentType, test.contains, body)
		}
		if header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s may be sniffed", test.method, test.path)
		}
	}
}

// deadlineRecorder is a recorder with deadlines, as a connection has them.
type deadlineRecorder struct{ *httptest.ResponseRecorder }

func (deadlineRecorder) SetWriteDeadline(time.Time) error { return nil }

// stuckClient does not read before read is closed. It closes writing when it should.
type stuckClient struct {
	deadlineRecorder
	writing, read chan struct{}
}

func (s stuckClient) Write(text []byte) (int, error) {
	close(s.writing)
	<-s.read
	return len(text), nil
}

// However many ask, one answer at a time is computed, and a client that does not read holds up no other.
func TestOneAnswerAtATime(t *testing.T) {
	a := answers{turn: make(chan struct{}, 1)}
	var computing, most atomic.Int32
	handler := a.document(func() any {
		if n := computing.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer computing.Add(-1)
		return strings.Repeat("x", 1<<16)
	})
	request := httptest.NewRequest("GET", "/v1/status", nil)
	stuck := stuckClient{deadlineRecorder{httptest.NewRecorder()}, make(chan struct{}), make(chan struct{})}
	var slow, others sync.WaitGroup
	slow.Go(func() { handler(stuck, request) })
	<-stuck.writing
	for range 64 {
		others.Go(func() {
			for range 20 {
				w := deadlineRecorder{httptest.NewRecorder()}
				handler(w, request)
				if w.Body.Len() != 1<<16+3 {
					t.Errorf("%d bytes", w.Body.Len())
				}
			}
		})
	}
	others.Wait()
	close(stuck.read)
	slow.Wait()
	if most.Load() != 1 {
		t.Errorf("%d answers computed at one time", most.Load())
	}
}

// A client that goes away while it waits for its turn takes none.
func TestGoneWhileWaiting(t *testing.T) {
	a := answers{turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	a.document(func() any { t.Error("computed for nobody"); return nil })(
		w, httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
}
