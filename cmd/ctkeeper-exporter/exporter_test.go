package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait; a wait that is met ends at once.
const patience = 10 * time.Second

// fakeDaemon serves documents on a status socket until the test ends, or stop is called.
func fakeDaemon(t *testing.T) (socket string, stop func()) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for path, document := range map[string]any{
		status.PathStatus: status.Document{
			Daemon: status.Daemon{Running: true, Version: "1.2.3"}, Module: status.Module{State: kmod.Loaded},
		},
		status.PathCounts: status.Counts{Passes: map[string]int64{"write": 7}},
		status.PathEvents: reconcile.Event{At: time.Unix(1, 0), Kind: reconcile.KindDrift},
		status.PathPoints: table.Point{At: 5, Max: 9},
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(document) })
	}
	server := &http.Server{Handler: mux}
	var served sync.WaitGroup
	served.Go(func() { _ = server.Serve(listener) })
	stop = func() {
		_ = server.Close()
		served.Wait()
	}
	t.Cleanup(stop)
	return socket, stop
}

// exporter is an exporter in this process.
type exporter struct {
	*testing.T
	address string
	mu      sync.Mutex
	log     bytes.Buffer
	cancel  context.CancelFunc
	done    chan struct{}
	status  int
}

// Write implements io.Writer for the log.
func (e *exporter) Write(text []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.Write(text)
}

func (e *exporter) logged() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.log.String()
}

// start runs an exporter on a free address until the test ends.
func start(t *testing.T, args ...string) *exporter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &exporter{T: t, address: listener.Addr().String(), done: make(chan struct{})}
	_ = listener.Close()
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	go func() {
		defer close(e.done)
		e.status = execute(ctx, append([]string{"--web.listen-address=" + e.address}, args...), e)
	}()
	t.Cleanup(func() { _ = e.stop() })
	return e
}

// stop ends the exporter and returns its exit status.
func (e *exporter) stop() int {
	e.cancel()
	<-e.done
	return e.status
}

func (e *exporter) wait(what string, cond func() bool) {
	e.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			e.Fatalf("not within %s: %s\n%s", patience, what, e.logged())
		}
	}
}

// ask asks once and returns the status and the body; 0 if nobody answers.
func (e *exporter) ask(method, url string, change func(*http.Request)) (int, string) {
	e.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	request, err := http.NewRequestWithContext(e.Context(), method, url, nil)
	if err != nil {
		e.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(body)
}

func (e *exporter) get(path string) (int, string) { return e.ask("GET", "http://"+e.address+path, nil) }

func (e *exporter) waitListening() {
	e.Helper()
	e.wait("it listens", func() bool { code, _ := e.get("/"); return code == http.StatusOK })
}

func TestServes(t *testing.T) {
	socket, stopDaemon := fakeDaemon(t)
	e := start(t, "--ctkeeper.socket="+socket, "--web.telemetry-path=/{other path}")
	e.waitListening()
	type answer struct {
		method, path string
		code         int
		contains     string
	}
	check := func(answers []answer) {
		t.Helper()
		for _, a := range answers {
			code, body := e.ask(a.method, "http://"+e.address+a.path, nil)
			if code != a.code || !strings.Contains(strings.ToLower(body), a.contains) {
				t.Errorf("%s %s: %d, want %d and %q:\n%.500s", a.method, a.path, code, a.code, a.contains, body)
			}
		}
	}
	check([]answer{
		{"GET", "/%7Bother%20path%7D", 200, "ctkeeper_events_total{source=\"write\"} 7\n"},
		{"GET", "/%7Bother%20path%7D", 200, "ctkeeper_up 1\n"},
		{"GET", "/%7Bother%20path%7D", 200, "\nprocess_resident_memory_bytes "},
		{"GET", "/metrics", 404, "404"},
		{"GET", "/", 200, "<!doctype html>"},
		{"GET", "/v1/status", 200, `"version":"1.2.3"`},
		{"GET", "/v1/counts", 200, `"write":7`},
		{"GET", "/v1/events", 200, `"event":"drift"`},
		{"GET", "/v1/points", 200, `"max":9`},
		{"GET", "/v1/page", 200, `"points":[{`},
		{"GET", "/v1/events?since=x", 400, "since is not an rfc 3339 time"},
		{"GET", "/v1/events?follow=true", 400, "follow is available on the status socket only"},
		{"HEAD", "/v1/status", 200, ""},
		{"GET", "/healthz", 200, "ok\n"},
		{"HEAD", "/healthz", 200, ""},
		{"GET", "/-/healthy", 200, "ok\n"},
		{"GET", "/-/ready", 200, "ok\n"},
		{"POST", "/-/ready", 405, "use get or head"},
		{"POST", "/v1/status", 405, "use get or head"},
		{"DELETE", "/%7Bother%20path%7D", 405, "use get or head"},
		{"GET", "/nosuch", 404, "404"},
	})
	stopDaemon()
	check([]answer{
		{"GET", "/%7Bother%20path%7D", 200, "\nctkeeper_up 0\n"},
		{"GET", "/", 200, "<!doctype html>"},
		{"GET", "/v1/status", 502, "cannot ask the daemon"},
		{"GET", "/v1/points", 502, "cannot ask the daemon"},
		{"GET", "/v1/page", 502, "ctkeeper is not running, nothing is repaired"},
		{"GET", "/healthz", 200, "ok\n"},
		{"GET", "/-/healthy", 200, "ok\n"},
		{"GET", "/-/ready", 503, "cannot ask the daemon"},
	})
	for range 3 {
		_, _ = e.get("/%7Bother%20path%7D")
	}
	if n := strings.Count(e.logged(), "the daemon does not answer"); n != 1 {
		t.Errorf("logged %d times that the daemon does not answer, want once:\n%s", n, e.logged())
	}
	if got := e.stop(); got != 0 {
		t.Errorf("exit status %d after a stop", got)
	}
}

// On a loopback address only the names of loopback are answered: another site's page has another Host.
func TestHost(t *testing.T) {
	socket, _ := fakeDaemon(t)
	e := start(t, "--ctkeeper.socket="+socket)
	e.waitListening()
	for host, want := range map[string]int{
		e.address: 200, "localhost": 200, "LOCALHOST.:9466": 200, "a.localhost:80": 200, "127.8.0.1": 200,
		"[::1]:1":         200,
		"rebound.example": 421, "rebound.example:9466": 421, "localhost.example": 421, "192.0.2.1": 421,
		"xlocalhost": 421, "127.0.0.1.example": 421,
	} {
		code, body := e.ask("GET", "http://"+e.address+"/metrics", func(r *http.Request) { r.Host = host })
		if code != want {
			t.Errorf("Host %s: %d, want %d: %.100s", host, code, want, body)
		}
	}
	// Requests on another address of the host are answered whatever the Host.
	r, err := http.NewRequest("GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "host.example"
	local := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9466}
	if !isHostExpected(r.WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local))) {
		t.Error("the host's own name is refused on its address")
	}
}

// certificate writes one for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, filepath.Join(dir, "key.pem"),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private})))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The web configuration file is that of Prometheus' exporters: TLS and passwords.
func TestWebConfig(t *testing.T) {
	socket, _ := fakeDaemon(t)
	dir := t.TempDir()
	certificate(t, dir)
	// The password is "test". Cost 4, the least of bcrypt: with the race detector a usual cost takes seconds.
	file := filepath.Join(dir, "web.yaml")
	write(t, file, "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"+
		"basic_auth_users: {prometheus: $2a$04$J/xObrqiMuaUoQpKaSyKPutq2ccFpEd9erM1PHouZeB7EW8CeGOEK}\n")
	e := start(t, "--ctkeeper.socket="+socket, "--web.config.file="+file)
	url := "https://" + e.address + "/metrics"
	e.wait("TLS", func() bool { code, _ := e.ask("GET", url, nil); return code == http.StatusUnauthorized })
	login := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("prometheus", password) }
	}
	code, body := e.ask("GET", url, login("test"))
	if code != http.StatusOK || !strings.Contains(body, "ctkeeper_up 1") {
		t.Errorf("with the password: %d %.200s", code, body)
	}
	if code, _ := e.ask("GET", url, login("guess")); code != http.StatusUnauthorized {
		t.Errorf("with another password: %d", code)
	}
	if code, body := e.get("/metrics"); code != http.StatusBadRequest {
		t.Errorf("without TLS: %d %s", code, body)
	}
}

// What cannot be served ends the exporter with its reason; systemd tries again.
func TestCannotServe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	invalid := filepath.Join(t.TempDir(), "web.yaml")
	write(t, invalid, "tls_server_config: [\n")
	for _, test := range []struct {
		args   []string
		status int
		reason string
	}{
		{[]string{"--web.listen-address=" + taken.Addr().String()}, 1, "address already in use"},
		{[]string{"--web.config.file=" + invalid}, 1, "cannot use --web.config.file: yaml: line 1: did not find"},
		{[]string{"--web.config.file=/nonexistent"}, 1, "no such file or directory"},
		{[]string{"--web.systemd-socket"}, 1, "systemd passed no listening socket"},
		{[]string{"--nosuch"}, 2, "ctkeeper-exporter: unknown long flag '--nosuch' (see ctkeeper-exporter --help)\n"},
		{[]string{"--web.telemetry-path=/x", "--web.listen-adress=:1"}, 2,
			"unknown long flag '--web.listen-adress' (did you mean --web.listen-address?)\n"},
		{[]string{"--log.level=loud"}, 2, `unrecognized log level loud`},
	} {
		e := start(t, test.args...)
		<-e.done
		if e.status != test.status || !strings.Contains(e.logged(), test.reason) {
			t.Errorf("%q: exit status %d, want %d and %q:\n%s",
				test.args, e.status, test.status, test.reason, e.logged())
		}
	}
}

// The exporter tells systemd when it listens, and not before.
func TestNotifiesReady(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "s")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	socket, _ := fakeDaemon(t)
	e := start(t, "--ctkeeper.socket="+socket)
	message := make([]byte, 64)
	_ = systemd.SetReadDeadline(time.Now().Add(patience))
	n, err := systemd.Read(message)
	if err != nil || string(message[:n]) != "READY=1" {
		t.Fatalf("systemd received %q, %v", message[:n], err)
	}
	conn, err := net.Dial("tcp", e.address)
	if err != nil {
		t.Fatalf("ready, and does not listen: %v", err)
	}
	_ = conn.Close()
}
