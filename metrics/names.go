package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// The names of the metrics are a contract: dashboards and alerts rest on them.
const (
	buildInfo            = "ctkeeper_build_info"
	settingDesired       = "ctkeeper_setting_desired"
	settingActual        = "ctkeeper_setting_actual"
	settingInSync        = "ctkeeper_setting_in_sync"
	driftTotal           = "ctkeeper_drift_total"
	repairsTotal         = "ctkeeper_repairs_total"
	refusedWritesTotal   = "ctkeeper_refused_writes_total"
	repairDuration       = "ctkeeper_repair_duration_seconds"
	contestedSettings    = "ctkeeper_contested_settings"
	passDuration         = "ctkeeper_pass_duration_seconds"
	eventsTotal          = "ctkeeper_events_total"
	eventOverflowsTotal  = "ctkeeper_event_overflows_total"
	guardState           = "ctkeeper_guard_state"
	moduleLoaded         = "ctkeeper_module_loaded"
	moduleLoadsTotal     = "ctkeeper_module_loads_total"
	configSuccessful     = "ctkeeper_config_last_reload_successful"
	configSuccessTime    = "ctkeeper_config_last_reload_success_timestamp_seconds"
	conntrackEntries     = "ctkeeper_conntrack_entries"
	conntrackLimit       = "ctkeeper_conntrack_limit"
	conntrackBuckets     = "ctkeeper_conntrack_buckets"
	conntrackStatTotal   = "ctkeeper_conntrack_stat_total"
	expectations         = "ctkeeper_expectations"
	expectationsLimit    = "ctkeeper_expectations_limit"
	expectationsByHelper = "ctkeeper_expectations_by_helper"
	tablePressure        = "ctkeeper_table_pressure"
	kernelMessagesTotal  = "ctkeeper_kernel_messages_total"
)

const (
	labelVersion   = "version"
	labelGoVersion = "goversion"
	labelSetting   = "setting"
	labelCause     = "cause"
	labelBy        = "by"
	labelResult    = "result"
	labelSource    = "source"
	labelEvent     = "event"
	labelHelper    = "helper"
	labelTable     = "table"
	labelKind      = "kind"
	labelState     = "state"
)

// The types of metric that there are.
const (
	gauge     = "gauge"
	counter   = "counter"
	histogram = "histogram"
)

// family is all that is known of a metric before it has a value.
type family struct {
	name, kind string
	labels     []string
	help       string
	// absent says when the metric has no series; empty where it always has.
	absent string
}

const unreadable = "it cannot be read: the module is absent, or this process has not the rights"

// families are the metrics in the order of the reference.
func families() []family {
	return []family{
		{buildInfo, gauge, []string{labelVersion, labelGoVersion}, "Which ctkeeper this is; always 1.", ""},

		{settingDesired, gauge, []string{labelSetting}, "The value that the configuration asks for; of at_least and at_most the bound.", "the value is not a number"},
		{settingActual, gauge, []string{labelSetting}, "The value that the kernel has, as its file shows it: seconds, bytes, or a count.", "the value is not a number, or there is none"},
		{settingInSync, gauge, []string{labelSetting}, "1 where the kernel's value is as wanted and nobody keeps changing it, else 0.", "the module is absent, or this kernel has no such setting"},
		{driftTotal, counter, []string{labelSetting, labelCause, labelBy}, "Values found that were not as wanted, by what brought them and, where the guard knows, by whom.", ""},
		{repairsTotal, counter, []string{labelSetting, labelResult}, "What was done about such values: repaired, observed (left alone, the mode is observe), failed.", ""},
		{refusedWritesTotal, counter, []string{labelSetting, labelBy}, "Foreign writes that the guard refused, by whom.", "nothing was refused yet"},
		{repairDuration, histogram, nil, "Time from hearing of a change to the wanted value read back, of each repair.", ""},
		{contestedSettings, gauge, nil, "Settings that another writer keeps changing.", ""},

		{passDuration, histogram, nil, "Time that one look at every setting took, repairs included.", ""},
		{eventsTotal, counter, []string{labelSource}, "Looks at every setting, by what asked for them; one look may have several sources.", ""},
		{eventOverflowsTotal, counter, []string{labelSource}, "Times a queue of events overran, so that everything was looked at.", ""},
		{guardState, gauge, []string{labelState}, "1 for the state that the guard is in, 0 for the others.", ""},
		{moduleLoaded, gauge, nil, "1 where nf_conntrack is loaded or part of the kernel, else 0.", ""},
		{moduleLoadsTotal, counter, nil, "Loads of nf_conntrack seen since the daemon started.", ""},
		{configSuccessful, gauge, nil, "1 where the newest configuration is in force, 0 where it was refused and the last good one is.", ""},
		{configSuccessTime, gauge, nil, "When a configuration last came into force, in seconds since the epoch.", "none has yet"},

		{conntrackEntries, gauge, nil, "Connections in the table (nf_conntrack_count).", unreadable},
		{conntrackLimit, gauge, nil, "Most connections the table may hold (nf_conntrack_max); +Inf where the kernel has no limit.", unreadable},
		{conntrackBuckets, gauge, nil, "Hash buckets of the table (nf_conntrack_buckets).", unreadable},
		{conntrackStatTotal, counter, []string{labelEvent}, "The kernel's counters in /proc/net/stat/nf_conntrack, all processors added up. They start anew with the module, and each processor's wraps at 2^32.", unreadable},
		{expectations, gauge, nil, "Expectations in the table.", unreadable + " (only root may read the expectations)"},
		{expectationsLimit, gauge, nil, "Most expectations the table may hold (nf_conntrack_expect_max); +Inf where the kernel has no limit.", unreadable},
		{expectationsByHelper, gauge, []string{labelHelper}, "Expectations by the helper that made them: the 32 with the most, the rest as other, and none where the kernel shows no helper.", "there are none, or they cannot be read"},
		{tablePressure, gauge, []string{labelTable}, "How full the table of connections, or of expectations, is: 0 calm, 1 high (from 80 %), 2 critical (from 95 %). A level ends 5 points below where it begins.", "its fill cannot be read"},
		{kernelMessagesTotal, counter, []string{labelKind}, "Messages of the kernel that a table is full, since the daemon started. The kernel limits how many it writes.", "the kernel's log cannot be read"},
	}
}

// desc describes a metric to Prometheus's library.
func (f family) desc() *prometheus.Desc { return prometheus.NewDesc(f.name, f.help, f.labels, nil) }

// the is the family of a name that stands above.
func the(name string) family {
	list := families()
	return list[slices.IndexFunc(list, func(f family) bool { return f.name == name })]
}
