package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
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

// document is the page's data.
type document struct {
	API status.API `json:"api"`
	// At is the time before the rest was read. A reader that passes it as since, less the time of a pass, misses
	// nothing.
	At     time.Time       `json:"at"`
	Status status.Document `json:"status"`
	// Host is the name of the host.
	Host string `json:"host"`
	// Counters explains those of the kernel.
	Counters []status.Counter `json:"counters"`
	// Forecasts are the results of Table.Forecast that are not empty, by table.
	Forecasts map[string]string `json:"forecasts"`
	Events    []reconcile.Event `json:"events"`
	Points    []table.Point     `json:"points"`
}

// Handler serves the page at / with its style and scripts, and its data at /v1/page?since=RFC3339 as JSON: the time of
// the answer, the status, and the events and points after since, or all of them. It answers 400 to an invalid since,
// 502 if the source fails, 405 to another method and 404 to another path. It works below any prefix that a proxy
// strips.
func Handler(source Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", asset("page.html", "text/html; charset=utf-8"))
	mux.Handle("GET /page.css", asset("page.css", "text/css; charset=utf-8"))
	for _, script := range scripts() {
		mux.Handle("GET /"+script, asset(script, "text/javascript; charset=utf-8"))
	}
	mux.HandleFunc("GET "+pathData, func(w http.ResponseWriter, r *http.Request) { serve(w, r, source) })
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

// scripts lists the page's entry script and its imports.
func scripts() []string { return []string{"page.js", "guard.js", "hours.js", "parts.js", "plot.js"} }

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

func serve(w http.ResponseWriter, r *http.Request, source Source) {
	var since time.Time
	if text := r.FormValue("since"); text != "" {
		var err error
		if since, err = time.Parse(time.RFC3339Nano, text); err != nil {
			http.Error(w, "since is not an RFC 3339 time", http.StatusBadRequest)
			return
		}
	}
	answer, err := read(r.Context(), source, since)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, "cannot encode the status as JSON", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // fails only if the client is gone
}

// read reads the page's data from the source.
func read(ctx context.Context, source Source, since time.Time) (document, error) {
	answer := document{At: time.Now(), Counters: status.Counters(), Forecasts: map[string]string{}}
	answer.Host, _ = os.Hostname()                                      // empty where it is not known
	answer.Events, answer.Points = []reconcile.Event{}, []table.Point{} // never null
	var err error
	if answer.Status, err = source.Status(ctx); err != nil {
		return answer, err
	}
	for name := range answer.Status.Table.Conditions {
		if text := answer.Status.Table.Forecast(name); text != "" {
			answer.Forecasts[name] = text
		}
	}
	err = source.Events(ctx, since, false, func(e reconcile.Event) error {
		answer.Events = append(answer.Events, e)
		return nil
	})
	if err != nil {
		return answer, err
	}
	points, err := source.Points(ctx, since)
	answer.Points = append(answer.Points, points...)
	return answer, err
}
