package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

//go:embed assets
var files embed.FS

// contentPolicy allows only the page's own files: no foreign script, style or form, and no frame around it (Content
// Security Policy Level 3).
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pathData is the path of the page's data.
const pathData = "/v1/page"

// Source provides what the page shows; it is a status.Client. Its methods are called at each request, by several
// goroutines.
type Source interface {
	Status(ctx context.Context) (status.Document, error)
	// Events calls each for the events after a time, oldest first.
	Events(ctx context.Context, since time.Time, follow bool, each func(reconcile.Event) error) error
	// Points returns the table's points after a time, oldest first.
	Points(ctx context.Context, since time.Time) ([]table.Point, error)
}

// Handler serves the page at / with its style and scripts, and its data at /v1/page?since=RFC3339 as JSON: the time of
// the answer, the status, and the events and points after since, or all of them. It answers 400 to an invalid since,
// 502 if the source fails, 405 to another method and 404 to another path. It works below any prefix that a proxy
// strips. The page links to the path of the metrics.
func Handler(source Source, metricsPath string) http.Handler {
	metrics := "." + (&url.URL{Path: metricsPath}).String() // relative, for the proxy's prefix
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", asset("page.html", "text/html; charset=utf-8"))
	mux.Handle("GET /page.css", asset("page.css", "text/css; charset=utf-8"))
	scripts, err := fs.Glob(files, "assets/*.js")
	if err != nil {
		panic(err) // the pattern is invalid
	}
	for _, script := range scripts {
		name := path.Base(script)
		mux.Handle("GET /"+name, asset(name, "text/javascript; charset=utf-8"))
	}
	mux.HandleFunc("GET "+pathData, func(w http.ResponseWriter, r *http.Request) { serve(w, r, source, metrics) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

// asset serves a file of the page. Browsers revalidate it each time, so that the page and its scripts are always of one
// version of ctkeeper.
func asset(name, contentType string) http.Handler {
	content, err := files.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(content)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
	})
}

func serve(w http.ResponseWriter, r *http.Request, source Source, metrics string) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since is not an RFC 3339 time", http.StatusBadRequest)
			return
		}
	}
	answer, err := read(r.Context(), source, since)
	if status.IsNotRunning(err) {
		http.Error(w, status.NotRunning, http.StatusBadGateway)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer.Metrics = metrics
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, "cannot encode the status as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // fails only if the client is gone
}
