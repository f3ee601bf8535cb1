package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/status"
)

const (
	// maxWait bounds how long a scrape waits for the daemon. A scraper that waits for a shorter time gets its
	// answer scrapeMargin before that is over.
	maxWait      = 5 * time.Second
	scrapeMargin = 500 * time.Millisecond
	// timeoutHeader is how many seconds Prometheus waits for the answer.
	timeoutHeader = "X-Prometheus-Scrape-Timeout-Seconds"
)

// Daemon provides the documents of a running daemon; it is a status.Client.
type Daemon interface {
	Status(ctx context.Context) (status.Document, error)
	Counts(ctx context.Context) (status.Counts, error)
}

// Metrics exports the documents of a daemon. It is safe for concurrent use.
type Metrics struct {
	daemon Daemon
	// failed is called with the error of a daemon that does not answer, and with nil when it does.
	failed func(error)
	descs  map[string]*prometheus.Desc
	// process has the process_* metrics of the exporter.
	process *prometheus.Registry
}

// New returns the metrics of a daemon. It calls failed, from several goroutines, after each scrape: with the error if
// the daemon did not answer, else with nil.
func New(daemon Daemon, failed func(error)) *Metrics {
	m := &Metrics{daemon: daemon, failed: failed, descs: descriptions(), process: prometheus.NewRegistry()}
	m.process.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// gatherer asks the daemon, and returns the metrics of its answer.
func (m *Metrics) gatherer(ctx context.Context) prometheus.Gatherer {
	s := scrape{descs: m.descs}
	var err error
	if s.status, err = m.daemon.Status(ctx); err == nil {
		s.counts, err = m.daemon.Counts(ctx)
	}
	s.up = err == nil
	if !errors.Is(err, context.Canceled) { // the scraper went away, which says nothing of the daemon
		m.failed(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(s)
	return registry
}

// Handler serves the text format or OpenMetrics, compressed if the client accepts that.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), scrapeTimeout(r))
		defer cancel()
		promhttp.HandlerFor(prometheus.Gatherers{m.gatherer(ctx), m.process}, promhttp.HandlerOpts{
			EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
		}).ServeHTTP(w, r)
	})
}

// scrapeTimeout returns how long a scrape may wait for the daemon.
func scrapeTimeout(r *http.Request) time.Duration {
	seconds, err := strconv.ParseFloat(r.Header.Get(timeoutHeader), 64)
	if err != nil || !(seconds > scrapeMargin.Seconds() && seconds < maxWait.Seconds()) {
		return maxWait
	}
	return time.Duration(seconds*float64(time.Second)) - scrapeMargin
}

// Textfile is the file that WriteTextfile writes. The collector reads files with this extension.
const Textfile = "ctkeeper.prom"

// textfileMode lets node_exporter read it.
const textfileMode = 0o644

// WriteTextfile writes DIR/ctkeeper.prom for node_exporter's textfile collector. The directory must exist, and nobody
// else may be able to write to it. The file has no process_*, because node_exporter exports its own.
func (m *Metrics) WriteTextfile(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	var text bytes.Buffer
	families, err := m.gatherer(ctx).Gather()
	for _, family := range families {
		_, failed := expfmt.MetricFamilyToText(&text, family)
		err = errors.Join(err, failed)
	}
	path := filepath.Join(dir, Textfile)
	if err == nil {
		err = checkDirectory(dir)
	}
	if err == nil {
		err = tree.At("").Replace(path, text.Bytes(), textfileMode)
	}
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = inner.Err // it names a part of the path again
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// checkDirectory returns an error if another user than root can put something in place of the files in a directory.
func checkDirectory(dir string) error {
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return err
	}
	own := uint32(os.Geteuid())
	if stat.Uid == own || stat.Uid == 0 && stat.Mode&0o022 == 0 {
		return nil
	}
	return fmt.Errorf("others can write to %s (uid %d, mode %04o): "+
		"run the exporter as its owner, or chown %d %[1]s and chmod go-w %[1]s",
		dir, stat.Uid, stat.Mode&0o7777, own)
}
