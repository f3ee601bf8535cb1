package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
	"github.com/ctkeeper/ctkeeper/ui/page"
)

// maxReaders is how many answers of the daemon are held at one time, besides the metrics: a page with a full history
// takes a megabyte for as long as its client is reading it.
const maxReaders = 16

// The paths of health checks: those of Prometheus (web/web.go there), and the usual one of Kubernetes.
const (
	pathHealthz = "/healthz"
	pathHealthy = "/-/healthy"
	pathReady   = "/-/ready"
)

// handler serves the metrics on their path, the page at /, what the page and the daemon have as JSON, and the health
// checks. It only reads.
func handler(telemetryPath string, metrics http.Handler, client *status.Client) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page.Handler(client, telemetryPath))
	mux.HandleFunc(status.PathStatus, func(w http.ResponseWriter, r *http.Request) {
		document, err := client.Status(r.Context())
		answer(w, "application/json", err, document)
	})
	mux.HandleFunc(status.PathCounts, func(w http.ResponseWriter, r *http.Request) {
		document, err := client.Counts(r.Context())
		answer(w, "application/json", err, document)
	})
	mux.HandleFunc(status.PathEvents, func(w http.ResponseWriter, r *http.Request) {
		answerSince(w, r, func(since time.Time) (events []any, err error) {
			err = client.Events(r.Context(), since, false, func(e reconcile.Event) error {
				events = append(events, e)
				return nil
			})
			return events, err
		})
	})
	mux.HandleFunc(status.PathPoints, func(w http.ResponseWriter, r *http.Request) {
		answerSince(w, r, func(since time.Time) ([]table.Point, error) { return client.Points(r.Context(), since) })
	})
	for _, path := range []string{pathHealthz, pathHealthy} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { answerCheck(w, nil) })
	}
	mux.HandleFunc(pathReady, func(w http.ResponseWriter, r *http.Request) {
		_, err := client.Counts(r.Context())
		answerCheck(w, err)
	})
	readers := make(chan struct{}, maxReaders)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !isHostExpected(r):
			http.Error(w, "on a loopback address this is served for the names of loopback only, not for "+
				"another Host", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this only reads: use GET or HEAD", http.StatusMethodNotAllowed)
		case r.URL.Path == telemetryPath:
			metrics.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/v1/"), r.URL.Path == pathReady: // they ask the daemon
			select {
			case readers <- struct{}{}:
				defer func() { <-readers }()
				mux.ServeHTTP(w, r)
			default:
				http.Error(w, "too many readers at one time", http.StatusServiceUnavailable)
			}
		default:
			mux.ServeHTTP(w, r)
		}
	})
}

// isHostExpected reports whether the Host of a request may be answered. A page of another site can have its name
// resolve to 127.0.0.1 and so read, in its visitor's browser, what is meant for this host (DNS rebinding). Such a
// request has the other site's name.
func isHostExpected(r *http.Request) bool {
	local, isTCP := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !isTCP || !local.IP.IsLoopback() || r.Host == "" { // a browser always sends a Host
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	address, err := netip.ParseAddr(host)
	// RFC 6761, 6.3: names that end in .localhost are loopback, too.
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && address.IsLoopback()
}

// answerCheck answers a health check: 200 and OK, or 503 and what is wrong. A check ignores the state
// of conntrack, which a restart of the exporter would not change.
func answerCheck(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "OK\n") // fails only if the client is gone
}

// answerSince answers with what list returns for the time in since, each as one line of JSON.
func answerSince[T any](w http.ResponseWriter, r *http.Request, list func(since time.Time) ([]T, error)) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since is not an RFC 3339 time", http.StatusBadRequest)
			return
		}
	}
	if r.FormValue("follow") == "true" {
		http.Error(w, "follow is available on the status socket only", http.StatusBadRequest)
		return
	}
	lines, err := list(since)
	answer(w, "application/x-ndjson", err, lines...)
}

// answer answers with documents, each as one line of JSON, or with the error of a daemon that does not answer.
func answer[T any](w http.ResponseWriter, contentType string, err error, documents ...T) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	for _, document := range documents {
		if err == nil {
			err = encoder.Encode(document)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out.Bytes()) // fails only if the client is gone
}
