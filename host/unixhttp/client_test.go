package unixhttp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// answering listens on a socket, and answers each connection by answer until the test ends.
func answering(t *testing.T, answer func(net.Conn)) *Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			answer(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return newClient(socket)
}

func newClient(socket string) *Client {
	return &Client{Socket: socket, AnswerTimeout: time.Second, Check: func(*net.UnixConn) error { return nil }}
}

// get returns status and body of an answer.
func get(ctx context.Context, c *Client) (status, text string, err error) {
	response, err := c.Get(ctx, "/")
	if err != nil {
		return "", "", err
	}
	body, err := io.ReadAll(response.Body)
	return response.Status, string(body), errors.Join(err, response.Body.Close())
}

func TestClient(t *testing.T) {
	const ok, coded = "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, test := range []struct {
		send, status, body string
		err                error
	}{
		{ok + "\r\nabc", "200 OK", "abc", nil},
		{"HTTP/1.0 404 Not Found\n\nabc", "404 Not Found", "abc", nil},
		{"HTTP/1.1 404\r\n\r\n", "404", "", nil},
		{ok + "Content-Length: 2\r\n\r\nabc", "200 OK", "ab", nil},
		{ok + "content-LENGTH:0\r\n\r\nabc", "200 OK", "", nil},
		{ok + "Content-Length: 4\r\n\r\nabc", "200 OK", "abc", io.ErrUnexpectedEOF},
		{ok + "Content-Length: -1\r\n\r\nabc", "", "", errMalformed},
		{ok + "Transfer-Encoding: gzip\r\n\r\nabc", "", "", errMalformed},
		{coded + "3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nField: x\r\n\r\n", "200 OK", "abc0123456789", nil},
		{coded + "0\r\n\r\n", "200 OK", "", nil},
		{coded, "200 OK", "", io.ErrUnexpectedEOF},
		{coded + "3\r\nab", "200 OK", "ab", io.ErrUnexpectedEOF},
		{coded + "3\r\nabc", "200 OK", "abc", io.ErrUnexpectedEOF},
		{coded + "3\r\nabc\r\n", "200 OK", "abc", io.ErrUnexpectedEOF},
		{coded + "3\r\nabcd\r\n", "200 OK", "abc", errMalformed},
		{coded + "-3\r\nabc\r\n", "200 OK", "", errMalformed},
		{coded + strings.Repeat("0", maxHead) + "\r\n", "200 OK", "", errMalformed},
		{coded + "ffffffffffffffff\r\nabc", "200 OK", "", errMalformed},
		{"", "", "", io.ErrUnexpectedEOF},
		{"HTTP/1.1 200 OK\r\n", "", "", io.ErrUnexpectedEOF},
		{"HTTP/1.1 2000 OK\r\n\r\n", "", "", errMalformed},
		{"HTTP/1.1 -20 OK\r\n\r\n", "", "", errMalformed},
		{"HTTP/2 200 OK\r\n\r\n", "", "", errMalformed},
		{"SSH-2.0-OpenSSH_9.2\r\n\r\n", "", "", errMalformed},
		{ok + "A: " + strings.Repeat("x", maxHead) + "\r\n\r\n", "", "", errTooLarge},
		{ok + strings.Repeat("A: x\r\n", maxHead/6) + "\r\n", "", "", errTooLarge},
	} {
		client := answering(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1<<10)) // so that closing is no reset
			_, _ = io.WriteString(conn, test.send)
		})
		status, body, err := get(t.Context(), client)
		if status != test.status || body != test.body || !errors.Is(err, test.err) {
			t.Errorf("%.60q: %q, %q, %v; want %q, %q, %v",
				test.send, status, body, err, test.status, test.body, test.err)
		}
	}
}

// A server that says nothing, or says no more, is left in time.
func TestSilentServer(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	silent := answering(t, func(net.Conn) { <-release })
	if _, _, err := get(t.Context(), silent); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Errorf("silent: %v", err)
	}
	for _, head := range []string{"", "HTTP/1.1 200 OK\r\n\r\nabc"} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		client := answering(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, head)
			<-ctx.Done()
			time.Sleep(50 * time.Millisecond)
		})
		if _, body, err := get(ctx, client); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q: %q, %v", head, body, err)
		}
	}
}

func isTimeout(err error) bool {
	wrong := net.Error(nil)
	return errors.As(err, &wrong) && wrong.Timeout()
}

// What Check refuses is not asked.
func TestCheck(t *testing.T) {
	asked := make(chan int, 1)
	client := answering(t, func(conn net.Conn) {
		n, _ := conn.Read(make([]byte, 1))
		asked <- n
	})
	refused := errors.New("refused")
	client.Check = func(*net.UnixConn) error { return refused }
	if _, _, err := get(t.Context(), client); !errors.Is(err, refused) {
		t.Errorf("the error is %v", err)
	}
	if n := <-asked; n != 0 {
		t.Error("it was asked")
	}
}

// The answers of Go's own server, and of the one here.
func TestServers(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/document", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a b") })
	mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			_, _ = io.WriteString(w, "0123456789\n")
		}
	})
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	for _, client := range []*Client{newClient(socket), newClient(serve(t).socket)} {
		for path, length := range map[string]int{"/document?q=b": 3, "/stream": 11000} {
			response, err := client.Get(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil || len(text) != length {
				t.Errorf("%s: %d bytes, %v", path, len(text), err)
			}
		}
	}
}

// FuzzAnswer reads answers of any bytes. A body is no longer than what came.
func FuzzAnswer(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	f.Add("HTTP/1.0 200 OK\n\nabc")
	f.Fuzz(func(t *testing.T, text string) {
		b := newBody(t.Context(), io.NopCloser(strings.NewReader(text)))
		if _, _, h, err := readStatus(b.in); err != nil || b.measure(h) != nil {
			return
		}
		if body, _ := io.ReadAll(b); len(body) > len(text) {
			t.Errorf("%d bytes of %d", len(body), len(text))
		}
	})
}
