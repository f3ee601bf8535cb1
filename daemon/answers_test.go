package daemon

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/host/unixhttp"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
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
		{"HEAD", "/v1/status", 405, "text/plain; charset=utf-8", ""},
		{"POST", "/v1/status", 405, "text/plain; charset=utf-8", "only GET is allowed"},
		{"DELETE", "/v1/counts", 405, "text/plain; charset=utf-8", "only GET is allowed"},
		{"GET", "/metrics", 404, "text/plain; charset=utf-8", "no such path"},
		{"GET", "/", 404, "text/plain; charset=utf-8", "no such path"},
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

// serveAnswers serves a handler until the test ends, and returns the path of its socket.
func serveAnswers(t *testing.T, handler unixhttp.Handler) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := unixhttp.Server{Handlers: map[string]unixhttp.Handler{"/": handler}, MaxClients: maxClients}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx, listener) })
	t.Cleanup(func() {
		cancel()
		serving.Wait()
	})
	return socket
}

// However many ask, one answer at a time is computed, and a client that does not read holds up no other.
func TestOneAnswerAtATime(t *testing.T) {
	const length = 1 << 20 // more than the buffer of a socket
	a := answers{turn: make(chan struct{}, 1)}
	var computing, most atomic.Int32
	socket := serveAnswers(t, a.document(func() any {
		if n := computing.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer computing.Add(-1)
		return strings.Repeat("x", length)
	}))
	stuck, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stuck.Close() }()
	if _, err := io.WriteString(stuck, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stuck, make([]byte, 1)); err != nil { // its answer is computed
		t.Fatal(err)
	}
	var others sync.WaitGroup
	for range maxClients - 1 {
		others.Go(func() {
			for range 2 {
				if _, body, _ := (&running{t: t, socket: socket}).ask("GET", "/"); len(body) != length+3 {
					t.Errorf("%d bytes", len(body))
				}
			}
		})
	}
	others.Wait()
	if most.Load() != 1 {
		t.Errorf("%d answers computed at one time", most.Load())
	}
}

// However fast readers ask, they leave four fifths of a processor to repairs.
func TestReadersRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := answers{turn: make(chan struct{}, 1)}
		const took = 3 * time.Millisecond
		began := time.Now()
		for range 10 {
			if err := a.inTurn(t.Context(), func() error { time.Sleep(took); return nil }); err != nil {
				t.Error(err)
			}
		}
		if got, want := time.Since(began), 10*took+9*restShare*took; got != want {
			t.Errorf("10 answers took %s, want %s", got, want)
		}
		began = time.Now()
		for range 10 {
			_, _ = pacedListener{readyListener{}}.Accept()
		}
		if got := time.Since(began); got != 10*acceptInterval {
			t.Errorf("10 connections took %s, want %s", got, 10*acceptInterval)
		}
		a.turn <- struct{}{} // the rest after the last answer ends
	})
}

// readyListener has a connection whenever it is asked.
type readyListener struct{ net.Listener }

func (readyListener) Accept() (net.Conn, error) { return nil, nil }

// A stream is sent when its source waits, not only when there are many lines, and in the order of its items.
func TestLinesAreFlushed(t *testing.T) {
	a := answers{turn: make(chan struct{}, 1)}
	received := make(chan struct{})
	socket := serveAnswers(t, func(ctx context.Context, query url.Values, answer *unixhttp.Answer) {
		serveLines(ctx, a, query, answer, func(_ time.Time, flush func()) iter.Seq[int] {
			return func(yield func(int) bool) {
				for i := range linesAtOnce + 2 {
					if i == linesAtOnce+1 {
						flush()
						<-received
					}
					if !yield(i) {
						return
					}
				}
			}
		})
	})
	want := ""
	for i := range linesAtOnce + 2 {
		want += strconv.Itoa(i) + "\n"
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n"); err != nil { // HTTP/1.0 has no chunks
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	head, body := "", ""
	for !strings.HasSuffix(body, strconv.Itoa(linesAtOnce)+"\n") {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(head, "\r\n\r\n") {
			body += line
		} else {
			head += line
		}
	}
	close(received)
	rest, err := io.ReadAll(in)
	if body += string(rest); err != nil || body != want {
		t.Errorf("received %q, %v", body, err)
	}
}

// A client that goes away while it waits for its turn takes none.
func TestGoneWhileWaiting(t *testing.T) {
	a := answers{turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := a.inTurn(ctx, func() error { t.Error("computed for nobody"); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// A client that asks before the first pass waits for it: a status without settings would say that all is well.
func TestStatusWaitsForTheFirstPass(t *testing.T) {
	root := kerneltree.New(t)
	write(t, filepath.Join(root, config.DefaultMain), "settings: {max: 100000}\n")
	d := newDaemon(Options{Source: config.Source{Root: root}, Log: logging.NewNop(), Notify: systemd.NewNotifier()})
	var err error
	if d.cfg, err = d.loader.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.keeper = reconcile.New(d.keeperOptions(sysfs.NewFiles(tree.At(root)), nil), &d.cfg.Desired)
	d.opts.Socket = filepath.Join(t.TempDir(), "s")
	ctx, cancel := context.WithCancel(t.Context())
	var group errgroup.Group
	listener := d.listen()
	group.Go(func() error { return d.serve(ctx, listener) })
	answer := make(chan status.Document)
	group.Go(func() error {
		document, err := status.NewClient(d.opts.Socket).Status(ctx)
		answer <- document
		return err
	})
	select {
	case document := <-answer:
		t.Errorf("before the first pass the status is %+v", document)
	case <-time.After(50 * time.Millisecond):
	}
	group.Go(func() error { return d.keeper.Run(ctx) })
	if document := <-answer; len(document.Settings) != 1 {
		t.Errorf("%d settings in the status, want 1", len(document.Settings))
	}
	cancel()
	if err := group.Wait(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
