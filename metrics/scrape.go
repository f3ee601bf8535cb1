package metrics

import (
	"cmp"
	"maps"
	"math"
	"runtime"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// maxHelpers and maxEvents limit the series whose labels come from the kernel.
	maxHelpers = 32
	maxEvents  = 64

	noHelper = "none"
	// columnEntries is the one column of the statistics that is not a counter.
	columnEntries = "entries"
)

// scrape is the collector of the metrics that are read at a scrape. It is a type of its own so that
// Metrics does not export the methods of prometheus.Collector.
type scrape struct {
	metrics *Metrics
	version string
	descs   map[string]*prometheus.Desc
}

func newScrape(m *Metrics, version string) *scrape {
	descs := map[string]*prometheus.Desc{}
	for _, f := range families() {
		switch f.name {
		case driftTotal, repairsTotal, refusedWritesTotal, repairDuration, passDuration, eventsTotal,
			eventOverflowsTotal, kernelMessagesTotal:
		default:
			descs[f.name] = f.desc()
		}
	}
	return &scrape{m, clean(version), descs}
}

// Describe implements prometheus.Collector.
func (s *scrape) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range s.descs {
		out <- desc
	}
	s.metrics.drifts.Describe(out)
	s.metrics.repairs.Describe(out)
	s.metrics.refused.Describe(out)
	s.metrics.messages.Describe(out)
}

// Collect implements prometheus.Collector.
func (s *scrape) Collect(out chan<- prometheus.Metric) {
	now := s.metrics.now()
	s.gauge(out, buildInfo, 1, s.version, clean(runtime.Version()))
	s.settings(out, now.Settings)
	s.gauge(out, moduleLoaded, boolValue(now.Loaded))
	s.count(out, moduleLoadsTotal, float64(now.Loads))
	s.gauge(out, configSuccessful, boolValue(now.ConfigOK))
	if !now.ConfigAt.IsZero() {
		s.gauge(out, configSuccessTime, float64(now.ConfigAt.UnixMilli())/1000)
	}
	s.table(out, now.Table)
	for helper, n := range topHelpers(now.ByHelper) {
		s.gauge(out, expectationsByHelper, float64(n), helper)
	}
	for _, name := range []string{table.Connections, table.Expectations} {
		if n, known := levelValue(now.Levels[name]); known {
			s.gauge(out, tablePressure, n, name)
		}
	}
	for _, state := range guardStates() {
		s.gauge(out, guardState, boolValue(state == cmp.Or(now.Guard, guardOff)), state)
	}
	if now.KernelLog {
		s.metrics.initKernelMessages()
	}
	s.metrics.messages.Collect(out)
}

func (s *scrape) gauge(out chan<- prometheus.Metric, name string, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(s.descs[name], prometheus.GaugeValue, value, labels...)
}

func (s *scrape) count(out chan<- prometheus.Metric, name string, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(s.descs[name], prometheus.CounterValue, value, labels...)
}

// settings sends the gauges and counters of the configured settings.
func (s *scrape) settings(out chan<- prometheus.Metric, settings []reconcile.SettingStatus) {
	configured := make(map[string]bool, len(settings))
	contested := 0
	for _, setting := range settings {
		name := clean(setting.Name)
		if setting.State == reconcile.Contested {
			contested++
		}
		if configured[name] {
			continue
		}
		configured[name] = true
		if n, ok := setting.Want.Int(); ok {
			s.gauge(out, settingWant, float64(n), name)
			if n, ok := setting.Live.Int(); ok {
				s.gauge(out, settingLive, float64(n), name)
			}
		}
		if setting.State != reconcile.Pending && setting.State != reconcile.Unsupported {
			s.gauge(out, settingInSync, boolValue(setting.State == reconcile.InSync), name)
		}
	}
	s.gauge(out, contestedSettings, float64(contested))
	s.metrics.syncSeries(configured)
	s.metrics.drifts.Collect(out)
	s.metrics.repairs.Collect(out)
	s.metrics.refused.Collect(out)
}

// table sends the table's figures that could be read.
func (s *scrape) table(out chan<- prometheus.Metric, sample table.Sample) {
	for _, figure := range []struct {
		name string
		n    *int64
	}{
		{conntrackEntries, sample.Entries}, {conntrackBuckets, sample.Buckets}, {expectations, sample.Expectations},
	} {
		if figure.n != nil {
			s.gauge(out, figure.name, float64(*figure.n))
		}
	}
	if sample.Max != nil {
		s.gauge(out, conntrackLimit, limitValue(*sample.Max, true))
	}
	if sample.ExpectMax != nil {
		s.gauge(out, expectationsLimit, limitValue(*sample.ExpectMax, false))
	}
	events := map[string]uint64{}
	for name, n := range sample.Counters {
		if name != columnEntries {
			events[clean(name)] += n
		}
	}
	names := slices.Sorted(maps.Keys(events))
	for _, name := range names[:min(len(names), maxEvents)] {
		s.count(out, conntrackStatTotal, float64(events[name]), name)
	}
}

// limitValue returns a limit that can be divided by: +Inf for no limit. For __nf_conntrack_alloc 0 is no
// limit. Kernels of 5.10 show the largest limit as -1.
func limitValue(n int64, zeroIsNone bool) float64 {
	if n < 0 || n == 0 && zeroIsNone {
		return math.Inf(1)
	}
	return float64(n)
}

// topHelpers returns the helpers with the most expectations, and the sum of the others as other.
func topHelpers(byHelper map[string]int64) map[string]int64 {
	names := slices.SortedFunc(maps.Keys(byHelper), func(a, b string) int {
		return cmp.Or(cmp.Compare(byHelper[b], byHelper[a]), cmp.Compare(a, b))
	})
	top := map[string]int64{}
	for i, name := range names {
		label := clean(name)
		switch {
		case i >= maxHelpers:
			label = other
		case name == "":
			label = noHelper
		}
		top[label] += byHelper[name]
	}
	return top
}

// guardOff is the state of the guard if Now has none.
const guardOff = "off"

// guardStates returns the states of the guard as package status names them.
func guardStates() []string { return []string{guardOff, "watching", "locked", "unavailable"} }

func levelValue(level table.Level) (float64, bool) {
	switch level {
	case table.Normal:
		return 0, true
	case table.High:
		return 1, true
	case table.Critical:
		return 2, true
	}
	return 0, false
}

func boolValue(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
