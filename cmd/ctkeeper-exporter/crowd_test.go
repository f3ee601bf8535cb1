package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ctkeeper/ctkeeper/status"
)

// Clients that had their answer and keep their connection do not keep a scrape out.
func TestIdleClients(t *testing.T) {
	socket, _ := fakeDaemon(t)
	e := start(t, "--ctkeeper.socket="+socket)
	e.waitListening()
	for range maxClients {
		conn, err := net.Dial("tcp", e.address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // an error shows at the answer
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	if code, body := e.get("/metrics"); code != http.StatusOK {
		t.Errorf("a scrape beside %d idle clients: %d %s", maxClients, code, body)
	}
}

// The answers that wait for the daemon, or for slow clients, are limited in number; the metrics are not among them.
func TestManyReaders(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket) // whose answers never come
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	scrape := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	h := handler("/metrics", scrape, status.NewClient(socket))
	ask := func(path string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		return w.Code
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	for range maxReaders {
		readers.Go(func() { ask("/v1/page") })
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	if code := ask("/v1/events"); code != http.StatusServiceUnavailable {
		t.Errorf("one more than %d readers: %d", maxReaders, code)
	}
	if code := ask("/metrics"); code != http.StatusOK {
		t.Errorf("a scrape beside %d readers: %d", maxReaders, code)
	}
}
