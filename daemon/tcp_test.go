package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// freePort gives an address that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// get asks once and gives the status and the body; 0 where nobody answers.
func get(t *testing.T, url string, change func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return response.StatusCode, string(body), response.Header
}

func listenOn(address string) string {
	return fmt.Sprintf("settings: {max: 100000}\nmetrics: {listen: %q}\n", address)
}

func TestServesOverTCP(t *testing.T) {
	root, address := kerneltree.New(t), freePort(t)
	d := start(t, root, listenOn(address))
	d.wait("the listener", func() bool {
		code, _, _ := get(t, "http://"+address+"/metrics", nil)
		return code == http.StatusOK
	})
	for path, want := range map[string]string{
		"/metrics":         "ctkeeper_conntrack_limit 100000\n",
		"/":                "<!doctype html>",
		"/v1/status":       `"load_factor":0`,
		"/v1/events":       `"event":"config-loaded"`,
		"/v1/page":         `"points":[`,
		"/v1/page?since=x": "since is not an RFC 3339 time",
	} {
		_, body, header := get(t, "http://"+address+path, nil)
		if !strings.Contains(strings.ToLower(body), strings.ToLower(want)) {
			t.Errorf("%s has no %q:\n%.500s", path, want, body)
		}
		if path != "/metrics" && header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s may be sniffed", path)
		}
	}
	if code, body, _ := get(t, "http://"+address+"/v1/events?follow=true", nil); code != http.StatusBadRequest {
		t.Errorf("following over TCP gives %d %s, want it refused", code, body)
	}
	if code, _, _ := get(t, "http://"+address+"/nosuch", nil); code != http.StatusNotFound {
		t.Errorf("/nosuch gives %d", code)
	}
	// Another address on reload, and none at all.
	other := freePort(t)
	write(t, filepath.Join(root, config.DefaultMain), listenOn(other))
	d.wait("the other listener", func() bool {
		code, _, _ := get(t, "http://"+other+"/metrics", nil)
		return code == http.StatusOK
	})
	if code, _, _ := get(t, "http://"+address+"/metrics", nil); code != 0 {
		t.Errorf("the old address answers %d", code)
	}
	write(t, filepath.Join(root, config.DefaultMain), "settings: {max: 100000}\n")
	d.wait("no listener", func() bool { code, _, _ := get(t, "http://"+other+"/metrics", nil); return code == 0 })
	if !d.status().Daemon.Running {
		t.Error("the status socket went with it")
	}
}

func TestMetricsOnTheSocket(t *testing.T) {
	d := start(t, kerneltree.New(t), "settings: {max: 100000}\n")
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.socket)
		},
	}}
	response, err := client.Get("http://ctkeeper/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ctkeeper_setting_live{setting="max"} 100000`, `ctkeeper_drift_total{by="",cause="start",setting="max"} 1`,
		`ctkeeper_repairs_total{result="repaired",setting="max"} 1`, `ctkeeper_module_loaded 1`,
		`ctkeeper_config_last_reload_successful 1`,
		`ctkeeper_events_total{source="start"} 1`, `ctkeeper_build_info{`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// An address that is taken is said once and tried until it is free; the settings are kept.
func TestAddressIsTaken(t *testing.T) {
	root := kerneltree.New(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	d := start(t, root, listenOn(address))
	d.wait("complaint", func() bool { return d.logged("metrics listener failed") })
	if got := kerneltree.Get(t, root, "max"); got != "100000" {
		t.Errorf("max is %s", got)
	}
	time.Sleep(3 * firstRestart)
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	d.wait("the listener", func() bool {
		code, _, _ := get(t, "http://"+address+"/metrics", nil)
		return code == http.StatusOK
	})
	complaints := d.logs.FilterMessageSnippet("metrics listener failed").All()
	if got := complaints[0].ContextMap()["error"]; len(complaints) != 1 ||
		got != "cannot listen on "+address+": bind: address already in use" {
		t.Errorf("%d complaints, the first: %v", len(complaints), got)
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

// The web configuration file is that of Prometheus' exporters: TLS and passwords.
func TestWebConfig(t *testing.T) {
	root, address := kerneltree.New(t), freePort(t)
	dir := filepath.Join(root, "etc/ctkeeper")
	certificate(t, dir)
	// The password is "test". Cost 4, the least of bcrypt: with the race detector a usual cost takes seconds.
	write(t, filepath.Join(dir, "web.yaml"), "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"+
		"basic_auth_users: {prometheus: $2a$04$J/xObrqiMuaUoQpKaSyKPutq2ccFpEd9erM1PHouZeB7EW8CeGOEK}\n")
	yaml := fmt.Sprintf("settings: {max: 100000}\nmetrics: {listen: %q, web_config: /etc/ctkeeper/web.yaml}\n", address)
	d := start(t, root, yaml)
	d.wait("the listener", func() bool {
		code, _, _ := get(t, "https://"+address+"/metrics", nil)
		return code == http.StatusUnauthorized
	})
	login := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("prometheus", password) }
	}
	if code, body, _ := get(t, "https://"+address+"/", login("test")); code != http.StatusOK ||
		!strings.Contains(body, "ctkeeper") {
		t.Errorf("with the password: %d %.200s", code, body)
	}
	if code, _, _ := get(t, "https://"+address+"/metrics", login("guess")); code != http.StatusUnauthorized {
		t.Errorf("with another password: %d", code)
	}
	if code, body, _ := get(t, "http://"+address+"/metrics", login("test")); code != http.StatusBadRequest {
		t.Errorf("without TLS: %d %s", code, body)
	}
	// A file that is wrong from some moment on is said once, however many ask.
	file := filepath.Join(dir, "key.pem")
	key, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, "no key\n")
	for range 3 {
		if code, _, _ := get(t, "https://"+address+"/metrics", login("test")); code != 0 {
			t.Errorf("with a wrong key: %d", code)
		}
	}
	d.wait("complaint", func() bool { return d.logged("nothing is served until it is fixed") })
	complaints := d.logs.FilterMessageSnippet("nothing is served until it is fixed").All()
	want := "cannot use metrics.web_config " + filepath.Join(dir, "web.yaml") +
		": failed to load X509KeyPair: tls: failed to find any PEM data in key input"
	if got := complaints[0].ContextMap()["error"]; len(complaints) != 1 || got != want {
		t.Errorf("%d complaints, the first: %v", len(complaints), got)
	}
	write(t, file, string(key))
	if code, _, _ := get(t, "https://"+address+"/metrics", login("test")); code != http.StatusOK {
		t.Errorf("mended: %d", code)
	}
}

// A web configuration that is not there, or wrong, is said by its name, and is no reason to
// serve without it.
func TestWebConfigIsMissing(t *testing.T) {
	root, address := kerneltree.New(t), freePort(t)
	yaml := fmt.Sprintf("settings: {max: 100000}\nmetrics: {listen: %q, web_config: /etc/ctkeeper/web.yaml}\n", address)
	d := start(t, root, yaml)
	d.wait("complaint", func() bool { return d.logged("metrics listener failed") })
	if code, _, _ := get(t, "http://"+address+"/metrics", nil); code == http.StatusOK {
		t.Error("served without the web configuration")
	}
	file := filepath.Join(root, "etc/ctkeeper/web.yaml")
	// Renamed into place: the retry could read a file that is only truncated, and an empty one is valid.
	write(t, file+".new", "tls_server_config: [\n")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	wrong := "cannot use metrics.web_config " + file + ": yaml: line 1: did not find expected node content"
	d.wait("complaint about the file", func() bool {
		said := d.logs.FilterMessageSnippet("metrics listener failed").All()
		return said[len(said)-1].ContextMap()["error"] == wrong
	})
	if d.logged("serving metrics and status page") {
		t.Error("it says that it serves, and does not")
	}
	write(t, file, "{}\n")
	d.wait("the listener", func() bool {
		code, _, _ := get(t, "http://"+address+"/metrics", nil)
		return code == http.StatusOK
	})
	if !d.logged("serving metrics and status page") {
		t.Error("it does not say that it serves")
	}
}

// A socket of systemd's is served on, given back on reload, and taken again.
func TestSystemdSocket(t *testing.T) {
	root := kerneltree.New(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	defer func() { _ = file.Close() }()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d := start(t, root, listenOn(config.ListenSystemd), func(o *Options) { o.Sockets = []*os.File{file} })
	served := func() bool { code, _, _ := get(t, "http://"+address+"/metrics", nil); return code == http.StatusOK }
	d.wait("the socket", served)
	other := freePort(t)
	write(t, filepath.Join(root, config.DefaultMain), listenOn(other))
	d.wait("the address", func() bool {
		code, _, _ := get(t, "http://"+other+"/metrics", nil)
		return code == http.StatusOK
	})
	write(t, filepath.Join(root, config.DefaultMain), listenOn(config.ListenSystemd))
	d.wait("the socket again", served)
}

func TestNoSystemdSocket(t *testing.T) {
	d := start(t, kerneltree.New(t), listenOn(config.ListenSystemd))
	d.wait("complaint", func() bool { return d.logged("metrics listener failed") })
	first := d.logs.FilterMessageSnippet("metrics listener failed").All()[0]
	if got := first.ContextMap()["error"]; got != errNoSockets.Error() {
		t.Errorf("the complaint is %v", got)
	}
}

func TestToolkitLog(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	log := toolkitLog(zap.New(core))
	log.Info("Listening on", "address", "[::]:1")
	for range 3 {
		log.With("a", 1).Error("Unable to parse configuration", "err", "no such file")
	}
	log.WithGroup("g").Log(context.Background(), slog.LevelWarn, "something else")
	var got []string
	for _, e := range logs.All() {
		got = append(got, fmt.Sprint(e.Level, " ", e.Message, " ", e.ContextMap()))
	}
	want := "debug metrics listener: Listening on map[address:[::]:1]\n" +
		"warn metrics listener: Unable to parse configuration map[a:1 err:no such file]\n" +
		"warn metrics listener: something else map[g:map[]]"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("log\n%s\nwant\n%s", text, want)
	}
}
