package metrics

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	// maxHelpers and maxEvents limit the series whose labels come from the kernel.
	maxHelpers = 32
	maxEvents  = 64

	noHelper = "none"
	other    = "other"
	// columnEntries is the one column of the statistics that is not a counter.
	columnEntries = "entries"
	// embeddedConfig is the hash of a configuration without files.
	embeddedConfig = "default"
)

// scrape is the answer of the daemon to one scrape, as a prometheus.Collector.
type scrape struct {
	descs  map[string]*prometheus.Desc // by the names of the families
	up     bool
	status status.Document
	counts status.Counts
}

// Describe implements prometheus.Collector.
func (s scrape) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range s.descs {
		out <- desc
	}
}

// Collect implements prometheus.Collector.
func (s scrape) Collect(out chan<- prometheus.Metric) {
	send := sender{out, s.descs}
	send.gauge(up, boolValue(s.up))
	if !s.up {
		return
	}
	daemon := s.status.Daemon
	send.gauge(buildInfo, 1, daemon.Version, daemon.Commit, daemon.GoVersion)
	if s.status.Kernel != "" {
		send.gauge(kernelInfo, 1, s.status.Kernel)
	}
	send.settings(s.status.Settings)
	send.counts(s.counts)
	send.gauge(enforcing, boolValue(daemon.Mode == reconcile.Enforce))
	send.gauge(keptElsewhere, boolValue(daemon.KeptElsewhere))
	send.gauge(moduleLoaded, boolValue(s.status.Module.State != kmod.Absent))
	send.counter(moduleLoadsTotal, float64(s.status.Module.Loads))
	send.gauge(configInfo, 1, cmp.Or(daemon.Config.Hash, embeddedConfig))
	send.gauge(configSuccessful, boolValue(daemon.Config.OK))
	send.time(configSuccessTime, daemon.Config.At)
	send.table(s.status.Table)
	for _, state := range guardStates() {
		send.gauge(guardState, boolValue(state == cmp.Or(s.status.Guard.State, status.GuardOff)), string(state))
	}
	send.gauge(guardInEffect, boolValue(s.status.IsGuardInEffect()))
}

// sender sends metrics by the name of their family.
type sender struct {
	out   chan<- prometheus.Metric
	descs map[string]*prometheus.Desc
}

func (s sender) gauge(name string, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(s.descs[name], prometheus.GaugeValue, value, labels...)
}

// time sends a time, unless it is the zero time.
func (s sender) time(name string, at time.Time, labels ...string) {
	if !at.IsZero() {
		s.gauge(name, float64(at.UnixMilli())/1000, labels...)
	}
}

func (s sender) counter(name string, value float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(s.descs[name], prometheus.CounterValue, value, labels...)
}

func (s sender) histogram(name string, h status.Histogram) {
	buckets := make(map[float64]uint64, len(h.Buckets))
	for _, b := range h.Buckets {
		buckets[b.UpTo] = uint64(b.Count)
	}
	s.out <- prometheus.MustNewConstHistogram(s.descs[name], uint64(h.Count), h.Sum, buckets)
}

// counts sends what the daemon has counted.
func (s sender) counts(c status.Counts) {
	for _, n := range c.Drifts {
		s.counter(driftTotal, float64(n.Count), n.Setting, n.Cause, n.By)
	}
	for _, n := range c.Repairs {
		s.counter(repairsTotal, float64(n.Count), n.Setting, n.Result)
	}
	for name, counts := range map[string][]status.Count{
		refusedWritesTotal: c.RefusedWrites, absorbedWritesTotal: c.AbsorbedWrites,
	} {
		for _, n := range counts {
			s.counter(name, float64(n.Count), n.Setting, n.By)
		}
	}
	for name, counts := range map[string]map[string]int64{
		eventsTotal: c.Passes, eventOverflowsTotal: c.Overflows, kernelMessagesTotal: c.KernelMessages,
	} {
		for label, n := range counts {
			s.counter(name, float64(n), label)
		}
	}
	s.histogram(repairDuration, c.RepairDuration)
	s.histogram(passDuration, c.PassDuration)
}

// settings sends the gauges of the configured settings.
func (s sender) settings(settings []reconcile.SettingStatus) {
	configured := make(map[string]bool, len(settings))
	contested := 0
	for _, setting := range settings {
		name := setting.Name
		if setting.State == reconcile.Contested {
			contested++
		}
		if configured[name] {
			continue
		}
		configured[name] = true
		if n, ok := setting.Want.Int(); ok {
			s.gauge(settingWant, float64(n), name)
			if n, ok := setting.Live.Int(); ok {
				s.gauge(settingLive, float64(n), name)
			}
		}
		if setting.State != reconcile.Pending && setting.State != reconcile.Unsupported {
			s.gauge(settingInSync, boolValue(setting.State == reconcile.InSync), name)
		}
		s.time(settingStateSince, setting.Since, name)
		if setting.LastDrift != nil {
			s.time(settingLastDrift, setting.LastDrift.At, name)
		}
	}
	s.gauge(contestedSettings, float64(contested))
}

// table sends the table's figures that could be read.
func (s sender) table(t status.Table) {
	for _, figure := range []struct {
		name string
		n    *int64
	}{
		{conntrackEntries, t.Entries}, {conntrackBuckets, t.Buckets}, {expectations, t.Expectations},
	} {
		if figure.n != nil {
			s.gauge(figure.name, float64(*figure.n))
		}
	}
	if t.Max != nil {
		s.gauge(conntrackLimit, limitValue(*t.Max, true))
	}
	if t.ExpectMax != nil {
		s.gauge(expectationsLimit, limitValue(*t.ExpectMax, false))
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(t.Counters)), func(name string) bool {
		return name == columnEntries
	})
	for _, name := range names[:min(len(names), maxEvents)] {
		s.counter(conntrackStatTotal, float64(t.Counters[name]), name)
	}
	for helper, n := range topHelpers(t.ByHelper) {
		s.gauge(expectationsByHelper, float64(n), helper)
	}
	for _, name := range []string{table.Connections, table.Expectations} {
		if n, known := levelValue(t.Conditions[name].Level); known {
			s.gauge(tablePressure, n, name)
		}
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
		label := name
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

func guardStates() []status.GuardState {
	return []status.GuardState{
		status.GuardOff, status.GuardWatching, status.GuardHolding, status.GuardLocked, status.GuardUnavailable,
	}
}

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
