package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

// The kinds of kernel message that RecordKernelMessage counts.
const (
	// TableFull is "nf_conntrack: table full, dropping packet" (__nf_conntrack_alloc).
	TableFull = "table-full"
	// ExpectationsFull is "nf_conntrack: expectation table full" (__nf_ct_expect_check).
	ExpectationsFull = "expectation-table-full"
)

// maxValues limits the values of a label whose values other packages choose. Values beyond it are counted
// as other.
const (
	maxValues = 16
	other     = "other"
)

// Now holds the values of the gauges at one scrape.
type Now struct {
	Settings []reconcile.SettingStatus
	Loaded   bool
	Loads    int
	// ConfigOK is false while the newest configuration is refused; ConfigAt is when one last took
	// effect.
	ConfigOK bool
	ConfigAt time.Time
	Table    table.Sample
	ByHelper map[string]int64
	// Levels are those of table.State.
	Levels map[string]table.Level
	// KernelLog is true while the kernel's log is read: its counters then start at 0.
	KernelLog bool
	// Guard is the state of the guard: off, watching, locked or unavailable. Empty is off.
	Guard string
}

// Metrics is the registry. It implements reconcile.Recorder and is safe for concurrent use.
type Metrics struct {
	now func() Now
	// own has ctkeeper's metrics; process has the process_* metrics that every exporter has.
	own, process *prometheus.Registry

	drifts, repairs, refused, events, overflows, messages *prometheus.CounterVec
	repairTook, passTook                                  prometheus.Histogram

	mu sync.Mutex
	// unrepaired has, by setting, the value found of a drift that was counted and is not repaired yet: its
	// repair is not another drift.
	unrepaired map[string]string
	// counted has the settings with series in drifts, repairs and refused.
	counted map[string]bool
	// writers has the values of the label by so far.
	writers map[string]bool
	// values has the values of the label so far, by metric.
	values map[string]map[string]bool
}

// New returns a registry. It calls now at each scrape; now must be fast, and must not read anything whose
// size grows with the table.
func New(version string, now func() Now) *Metrics {
	m := &Metrics{
		now: now, own: prometheus.NewRegistry(), process: prometheus.NewRegistry(),
		drifts: newCounterVec(driftTotal), repairs: newCounterVec(repairsTotal),
		refused: newCounterVec(refusedWritesTotal),
		events:  newCounterVec(eventsTotal), overflows: newCounterVec(eventOverflowsTotal),
		messages: newCounterVec(kernelMessagesTotal),
		// A repair is a write and a read; to fill a large hash table takes a second.
		repairTook: newHistogram(repairDuration, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, .01, .025, .05, .1, .25, .5,
			1, 2.5, 5, 10),
		// A pass that changes nothing takes some 2 µs for each setting.
		passTook: newHistogram(passDuration, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, .025, .1, .5, 2.5,
			10),
		unrepaired: map[string]string{}, counted: map[string]bool{}, writers: map[string]bool{},
		values: map[string]map[string]bool{},
	}
	for reason := reconcile.Start; reason <= reconcile.Guard; reason <<= 1 {
		m.count(m.events, eventsTotal, reason.String(), 0)
	}
	for _, reason := range []reconcile.Reason{reconcile.ModuleChange, reconcile.Write, reconcile.Guard} {
		m.count(m.overflows, eventOverflowsTotal, reason.String(), 0)
	}
	m.own.MustRegister(newScrape(m, version), m.events, m.overflows, m.repairTook, m.passTook)
	m.process.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func newCounterVec(name string) *prometheus.CounterVec {
	f := familyOf(name)
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.name, Help: f.help}, f.labels)
}

func newHistogram(name string, buckets ...float64) prometheus.Histogram {
	f := familyOf(name)
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: f.name, Help: f.help, Buckets: buckets})
}

// Record counts an event, also a quiet one.
func (m *Metrics) Record(e reconcile.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Kind == reconcile.KindForbidden && !e.Want.Known() {
		// Several settings that cannot be written for one reason. An event of a setting that cannot be
		// read has a Want, and is no repair.
		for _, name := range e.SettingNames() {
			m.countRepair(clean(name), e.Result)
		}
		return
	}
	if e.Kind == reconcile.KindRefusedWrite {
		m.counted[clean(e.Setting)] = true
		m.refused.WithLabelValues(clean(e.Setting), m.writerLabel(e)).Inc()
		return
	}
	if e.Setting == "" || e.Cause == "" || e.Kind == reconcile.KindSettled {
		return
	}
	name := clean(e.Setting)
	if m.isNewDrift(name, e) {
		m.counted[name] = true
		m.drifts.WithLabelValues(name, oneOf(e.Cause, causes()), m.writerLabel(e)).Inc()
	}
	m.unrepaired[name] = e.Found.String()
	if e.Result == "" {
		return
	}
	m.countRepair(name, e.Result)
	if e.Kind == reconcile.KindDrift && e.Result == reconcile.ResultRepaired {
		delete(m.unrepaired, name)
		m.repairTook.Observe(time.Duration(e.Duration).Seconds())
	}
}

// isNewDrift reports whether the drift of an event has not been counted yet. A drift whose repair was
// postponed or failed has another event when it is repaired.
func (m *Metrics) isNewDrift(name string, e reconcile.Event) bool {
	if e.Kind == reconcile.KindDrift && e.Result != reconcile.ResultRepaired {
		return true
	}
	found, open := m.unrepaired[name]
	return !open || found != e.Found.String()
}

func (m *Metrics) countRepair(name string, result reconcile.Result) {
	m.counted[name] = true
	m.repairs.WithLabelValues(name, oneOf(result, results())).Inc()
}

// RecordPass counts a pass. source is what woke it (a reconcile.Reason's String), took its duration.
func (m *Metrics) RecordPass(source string, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.passTook.Observe(took.Seconds())
	for one := range strings.SplitSeq(source, "+") {
		m.count(m.events, eventsTotal, one, 1)
	}
}

// RecordOverflow counts an overrun of a queue, by the reconcile.Reason of its events.
func (m *Metrics) RecordOverflow(source string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(m.overflows, eventOverflowsTotal, source, 1)
}

// RecordKernelMessage counts a message of the kernel: TableFull or ExpectationsFull.
func (m *Metrics) RecordKernelMessage(kind string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(m.messages, kernelMessagesTotal, kind, 1)
}

// initKernelMessages makes the counters of kernel messages start at 0.
func (m *Metrics) initKernelMessages() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count(m.messages, kernelMessagesTotal, TableFull, 0)
	m.count(m.messages, kernelMessagesTotal, ExpectationsFull, 0)
}

// count adds to a counter with one label.
func (m *Metrics) count(vec *prometheus.CounterVec, name, value string, by float64) {
	value = clean(value)
	seen := m.values[name]
	if seen == nil {
		seen = map[string]bool{}
		m.values[name] = seen
	}
	if !seen[value] && len(seen) >= maxValues {
		value = other
	}
	seen[value] = true
	vec.WithLabelValues(value).Add(by)
}

// syncSeries makes the series of drifts and repairs of the configured settings start at 0, so that rate()
// sees the first event, and deletes the series of the others.
func (m *Metrics) syncSeries(configured map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.counted {
		if !configured[name] {
			delete(m.counted, name)
			delete(m.unrepaired, name)
			m.drifts.DeletePartialMatch(prometheus.Labels{labelSetting: name})
			m.repairs.DeletePartialMatch(prometheus.Labels{labelSetting: name})
			m.refused.DeletePartialMatch(prometheus.Labels{labelSetting: name})
		}
	}
	for name := range maps.Keys(configured) {
		m.counted[name] = true
		for _, cause := range causes() {
			m.drifts.WithLabelValues(name, string(cause), "")
		}
		for _, result := range results() {
			m.repairs.WithLabelValues(name, string(result))
		}
	}
}

func causes() []reconcile.Cause {
	return []reconcile.Cause{reconcile.CauseStart, reconcile.CauseConfig, reconcile.CauseModuleLoad,
		reconcile.CauseWrite, reconcile.CauseResync}
}

func results() []reconcile.Result {
	return []reconcile.Result{reconcile.ResultRepaired, reconcile.ResultObserved, reconcile.ResultFailed}
}

// oneOf returns the value if it is one of known, else other.
func oneOf[T ~string](value T, known []T) string {
	if slices.Contains(known, value) {
		return string(value)
	}
	return other
}

// clean makes a text valid as a label's value: Prometheus accepts any UTF-8 and nothing else. It escapes
// line ends itself.
func clean(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// Handler serves the text format or OpenMetrics, compressed if the client accepts that.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(prometheus.Gatherers{m.own, m.process}, promhttp.HandlerOpts{
		EnableOpenMetrics: true, ErrorHandling: promhttp.ContinueOnError,
	})
}

// textfile is the file that WriteTextfile writes. The collector reads files with this extension.
const textfile = "ctkeeper.prom"

// WriteTextfile writes DIR/ctkeeper.prom, mode 0644, for node_exporter's textfile collector. It renames a
// temporary file in the same directory, which must exist. It omits process_*, because node_exporter
// exports its own.
func (m *Metrics) WriteTextfile(dir string) error {
	path := filepath.Join(dir, textfile)
	err := prometheus.WriteToTextfile(path, m.own)
	// These errors name the temporary file, which has another name each time.
	if within, ok := errors.AsType[*fs.PathError](err); ok {
		err = within.Err
	} else if within, ok := errors.AsType[*os.LinkError](err); ok {
		err = within.Err
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}
