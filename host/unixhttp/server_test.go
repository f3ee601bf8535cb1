package unixhttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patient = 10 * time.Second

// served is a server of this process.
type served struct {
	t      *testing.T
	socket string
	panics chan error
	// gone has an element for each request of /wait whose context ended.
	gone chan struct{}
	// end ends the server, and returns what Serve did.
	end func() error
}

func serve(t *testing.T) *served {
	t.Helper()
	s := &served{t, filepath.Join(t.TempDir(), "s"), make(chan error, 1), make(chan struct{}, 4), nil}
	listener, err := net.Listen("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := Server{MaxClients: 2, Panicked: func(err error) { s.panics <- err }, Handlers: map[string]Handler{
		"/document": func(_ context.Context, query url.Values, a *Answer) {
			a.Document("text/plain", []byte("a "+query.Get("q")))
		},
		"/stream": func(_ context.Context, _ url.Values, a *Answer) {
			a.Stream("text/plain")
			for range 1000 {
				_, _ = io.WriteString(a, "0123456789\n")
			}
		},
		"/panic": func(context.Context, url.Values, *Answer) { panic("on purpose") },
		"/wait": func(ctx context.Context, _ url.Values, a *Answer) {
			a.Stream("text/plain")
			_ = a.Flush()
			<-ctx.Done()
			s.gone <- struct{}{}
		},
		"/torn": func(_ context.Context, _ url.Values, a *Answer) {
			a.Stream("text/plain")
			_, _ = io.WriteString(a, "begin\n")
			_ = a.Flush()
			panic("in the middle")
		},
		"/endless": func(_ context.Context, _ url.Values, a *Answer) {
			a.Stream("text/plain")
			for err := error(nil); err == nil; {
				_, err = io.WriteString(a, strings.Repeat("x", 1<<16))
			}
		},
	}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	s.end = func() error {
		cancel()
		err := <-ended
		ended <- err
		return err
	}
	t.Cleanup(func() { _ = s.end() })
	return s
}

func (s *served) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patient)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// ask sends a text and returns all of the answer.
func (s *served) ask(text string) string {
	s.t.Helper()
	conn := s.dial()
	_, _ = io.WriteString(conn, text) // the server may close before all is written
	answer, err := io.ReadAll(conn)
	if err != nil && answer == nil {
		s.t.Fatal(err)
	}
	return string(answer)
}

func TestServer(t *testing.T) {
	s := serve(t)
	const end = " HTTP/1.1\r\nHost: x\r\n\r\n"
	body := func(text string) string { return "\r\n\r\n" + text }
	for _, test := range []struct{ send, status, contains string }{
		{"GET /document?q=b" + end, "200 OK", "Content-Length: 3\r\n" + "\r\na b"},
		{"GET http://host/document?q=%62" + end, "200 OK", body("a b")},
		{"GET /document?q=b HTTP/1.0\n\n", "200 OK", body("a b")},
		{"GET /document?q=b" + end + "GET /document?q=c" + end, "200 OK", body("a b")},
		{"GET /document HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde", "200 OK", body("a ")},
		{"GET /stream" + end, "200 OK", "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789\n\r\nb\r\n"},
		{"GET /stream" + end, "200 OK", "\r\n0\r\n\r\n"},
		{"GET /stream HTTP/1.0\r\n\r\n", "200 OK", "nosniff\r\n\r\n0123456789\n0123456789\n"},
		{"POST /document" + end, "405 Method Not Allowed", "Allow: GET\r\n"},
		{"HEAD /document" + end, "405 Method Not Allowed", "Allow: GET\r\n"},
		{"POST /" + end, "404 Not Found", "no such path\n"},
		{"GET /document/" + end, "404 Not Found", ""},
		{"GET //document" + end, "404 Not Found", ""},
		{"GET document" + end, "400 Bad Request", "malformed"},
		{"GET /document?%zz" + end, "400 Bad Request", ""},
		{"GET  /document" + end, "400 Bad Request", ""},
		{"G(T /document" + end, "400 Bad Request", ""},
		{"GET /document HTTP/2.0\r\n\r\n", "400 Bad Request", ""},
		{"GET /document HTTP/1.10\r\n\r\n", "400 Bad Request", ""},
		{"GET /document\r\n\r\n", "400 Bad Request", ""},
		{"\r\n\r\n", "400 Bad Request", ""},
		{"GET /document HTTP/1.1\r\nno field\r\n\r\n", "400 Bad Request", ""},
		{"GET /document HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n", "400 Bad Request", ""},
		{"GET /document HTTP/1.1\r\nA : b\r\n\r\n", "400 Bad Request", ""},
		{"GET /" + strings.Repeat("x", maxHead) + end, "431 Request Header Fields Too Large", "8192"},
		{"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", maxHead/6) + "\r\n", "431 Request Header", ""},
	} {
		answer := s.ask(test.send)
		if !strings.HasPrefix(answer, "HTTP/1.1 "+test.status) || !strings.Contains(answer, test.contains) ||
			!strings.Contains(answer, "Connection: close\r\n") {
			t.Errorf("%.60q: want %s and %q:\n%.400q", test.send, test.status, test.contains, answer)
		}
	}
	if answer := s.ask("HEAD /document" + end); !strings.HasSuffix(answer, "\r\n\r\n") {
		t.Errorf("HEAD has a body: %q", answer)
	}
}

// Go's own client reads every answer, and sees one that is torn.
func TestForeignClient(t *testing.T) {
	s := serve(t)
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.socket)
		},
	}}
	for path, want := range map[string]struct {
		length int
		err    error
	}{"/document?q=b": {3, nil}, "/stream": {11000, nil}, "/torn": {6, io.ErrUnexpectedEOF}} {
		response, err := client.Get("http://x" + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode != 200 || len(text) != want.length || !errors.Is(err, want.err) {
			t.Errorf("%s: status %d, %d bytes, %v", path, response.StatusCode, len(text), err)
		}
	}
}

func TestPanic(t *testing.T) {
	s := serve(t)
	if answer := s.ask("GET /panic HTTP/1.1\r\n\r\n"); answer != "" {
		t.Errorf("answered %q", answer)
	}
	if err := <-s.panics; !strings.HasPrefix(err.Error(), "/panic: panic: on purpose\n") {
		t.Errorf("the error is %v", err)
	}
}

// Clients that send nothing, or too slowly, are gone after a second; more clients than the limit wait.
func TestSlowClients(t *testing.T) {
	s := serve(t)
	begin := time.Now()
	for _, text := range []string{"", "GET /doc", "GET /document HTTP/1.1\r\nA: b\r\n"} {
		if _, err := io.WriteString(s.dial(), text); err != nil {
			t.Fatal(err)
		}
	}
	if answer := s.ask("GET /document HTTP/1.1\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
		t.Errorf("answered %q", answer)
	}
	if took := time.Since(begin); took < headTimeout || took > patient/2 {
		t.Errorf("took %s", took)
	}
}

// A client that goes, or sends far too much, ends the context of its request.
func TestGone(t *testing.T) {
	s := serve(t)
	for _, more := range []string{"", strings.Repeat("x", maxIgnored)} {
		conn := s.dial()
		if _, err := io.WriteString(conn, "GET /wait HTTP/1.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, more); err != nil {
			t.Fatal(err)
		}
		if more == "" {
			_ = conn.Close()
		}
		select {
		case <-s.gone:
		case <-time.After(patient):
			t.Fatalf("after %d bytes: the handler was not told", len(more))
		}
	}
}

// The end of the server ends a stream at once, and an answer that nobody reads after endTimeout.
func TestEnd(t *testing.T) {
	s := serve(t)
	for _, path := range []string{"/wait", "/endless"} {
		conn := s.dial()
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	if err := s.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve returned %v", err)
	}
	if took := time.Since(begin); took > writeTimeout/2 {
		t.Errorf("took %s", took)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("GET /v1/events?since=2099-01-01T00:00:00Z HTTP/1.1\r\nHost: x\r\n\r\n")
	f.Add("GET / HTTP/1.0\n\n")
	f.Add("\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := readRequest(bufio.NewReaderSize(strings.NewReader(text), maxHead))
		if err == nil && (!strings.HasPrefix(text, r.method+" ") || !strings.Contains(text, "HTTP/1.")) {
			t.Errorf("%q is %+v", text, r)
		}
	})
}
