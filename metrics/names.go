package metrics

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// The names of the metrics are a contract: dashboards and alerts use them.
const (
	up                   = "ctkeeper_up"
	buildInfo            = "ctkeeper_build_info"
	kernelInfo           = "ctkeeper_kernel_info"
	configInfo           = "ctkeeper_config_info"
	settingWant          = "ctkeeper_setting_want"
	settingLive          = "ctkeeper_setting_live"
	settingInSync        = "ctkeeper_setting_in_sync"
	settingStateSince    = "ctkeeper_setting_state_since_timestamp_seconds"
	settingLastDrift     = "ctkeeper_setting_last_drift_timestamp_seconds"
	driftTotal           = "ctkeeper_drift_total"
	repairsTotal         = "ctkeeper_repairs_total"
	refusedWritesTotal   = "ctkeeper_refused_writes_total"
	absorbedWritesTotal  = "ctkeeper_absorbed_writes_total"
	repairDuration       = "ctkeeper_repair_duration_seconds"
	contestedSettings    = "ctkeeper_contested_settings"
	passDuration         = "ctkeeper_pass_duration_seconds"
	eventsTotal          = "ctkeeper_events_total"
	eventOverflowsTotal  = "ctkeeper_event_overflows_total"
	guardState           = "ctkeeper_guard_state"
	guardInEffect        = "ctkeeper_guard_in_effect"
	keptElsewhere        = "ctkeeper_kept_elsewhere"
	enforcing            = "ctkeeper_enforcing"
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
	labelRevision  = "revision"
	labelGoVersion = "goversion"
	labelRelease   = "release"
	labelHash      = "hash"
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

// The types of metrics.
const (
	gauge     = "gauge"
	counter   = "counter"
	histogram = "histogram"
)

// family describes a metric.
type family struct {
	name, kind string
	labels     []string
	help       string
	// absent is the reason why the metric may have no series; empty if it always has one.
	absent string
}

const unreadable = "it cannot be read: the module is absent, or a capability is missing"

// families returns the metrics in the order of the reference.
func families() []family { return slices.Concat(daemonFamilies(), tableFamilies()) }

// daemonFamilies returns the metrics of the daemon and its settings.
func daemonFamilies() []family {
	setting := []string{labelSetting}
	source := []string{labelSource}
	return []family{
		{up, gauge, nil, "1 if the daemon answered, else 0; the other metrics of ctkeeper are then absent.", ""},
		{buildInfo, gauge, []string{labelVersion, labelRevision, labelGoVersion},
			"The version of the daemon, its commit, and its Go; always 1.", ""},
		{kernelInfo, gauge, []string{labelRelease}, "The release of the running kernel (uname -r); always 1.",
			"it cannot be read"},

		{settingWant, gauge, setting, "The value in the configuration; for at_least and at_most, the bound.",
			"the value is not a number"},
		{settingLive, gauge, setting, "The live value, as the kernel's file shows it: seconds, bytes, or a count.",
			"the value is not a number, or there is none"},
		{settingInSync, gauge, setting, "1 if the live value is as wanted and the setting is not contested, else 0.",
			"the module is absent, or this kernel has no such setting"},
		{settingStateSince, gauge, setting,
			"Since when the setting has its present state (in-sync, drifted, contested, …), in seconds since the " +
				"epoch. A drift that is repaired at once does not change it.", "the daemon has not looked yet"},
		{settingLastDrift, gauge, setting, "When the last drift was found, in seconds since the epoch.",
			"there was none since the daemon started"},
		{driftTotal, counter, []string{labelSetting, labelCause, labelBy},
			"Drifts by cause and, if the guard knows it, by writer.", ""},
		{repairsTotal, counter, []string{labelSetting, labelResult},
			"Drifts by result: repaired, observed (not repaired, the mode is observe), failed.", ""},
		{refusedWritesTotal, counter, []string{labelSetting, labelBy},
			"Foreign writes that the guard refused, by writer.", "no write was refused yet"},
		{absorbedWritesTotal, counter, []string{labelSetting, labelBy},
			"Foreign writes that succeeded without effect (guard: hold), by writer.", "no write was absorbed yet"},
		{repairDuration, histogram, nil,
			"Time from the event that reports a drift until the wanted value is read back, for each repair.", ""},
		{contestedSettings, gauge, nil, "Settings that another writer keeps changing.", ""},
		{passDuration, histogram, nil, "Time of one pass over all settings, repairs included.", ""},
		{eventsTotal, counter, source, "Passes by what woke them; one pass may have several sources.", ""},
		{eventOverflowsTotal, counter, source, "Overruns of an event queue; each is followed by a full pass.", ""},
		{enforcing, gauge, nil, "1 in mode enforce, 0 in mode observe, which reports drifts and writes nothing: " +
			"configured, or because another ctkeeper keeps the settings of the network namespace.", ""},
		{keptElsewhere, gauge, nil,
			"1 if another ctkeeper keeps the settings of this network namespace, and this one observes, else 0.", ""},
		{guardState, gauge, []string{labelState}, "1 for the present state of the guard, 0 for the others.", ""},
		{guardInEffect, gauge, nil, "1 if the guard does what is configured (in mode observe: watches), else 0.", ""},
		{moduleLoaded, gauge, nil, "1 if nf_conntrack is loaded or part of the kernel, else 0.", ""},
		{moduleLoadsTotal, counter, nil, "Loads of nf_conntrack seen since the daemon started.", ""},
		{configInfo, gauge, []string{labelHash},
			"Which configuration is in effect: a hash of its files; always 1.", ""},
		{configSuccessful, gauge, nil,
			"1 if the newest configuration is in effect, 0 if it was refused and the last good one is in effect.", ""},
		{configSuccessTime, gauge, nil, "When a configuration last took effect, in seconds since the epoch.",
			"none has yet"},
	}
}

// tableFamilies returns the metrics of the tables of connections and expectations.
func tableFamilies() []family {
	return []family{
		{conntrackEntries, gauge, nil, "Connections in the table (nf_conntrack_count).", unreadable},
		{conntrackLimit, gauge, nil,
			"Maximum of connections in the table (nf_conntrack_max); +Inf if the kernel has no limit.", unreadable},
		{conntrackBuckets, gauge, nil, "Hash buckets of the table (nf_conntrack_buckets).", unreadable},
		{conntrackStatTotal, counter, []string{labelEvent},
			"The kernel's counters in /proc/net/stat/nf_conntrack, summed over all processors: " + losses() +
				" and others. They start again with the module, and those of a processor wrap at 2^32.", unreadable},
		{expectations, gauge, nil, "Expectations in the table.", unreadable + " (only root may read the expectations)"},
		{expectationsLimit, gauge, nil,
			"Maximum of expectations in the table (nf_conntrack_expect_max); +Inf if the kernel has no limit.",
			unreadable},
		{expectationsByHelper, gauge, []string{labelHelper},
			"Expectations by helper: the 32 with the most, the rest as other, and none if the kernel shows no helper.",
			"there are none, or they cannot be read"},
		{tablePressure, gauge, []string{labelTable},
			fmt.Sprintf("How full the table of connections, or of expectations, is: 0 normal, 1 high (from %d %%), "+
				"2 critical (from %d %%).", table.HighPercent, table.CriticalPercent), "its fill cannot be read"},
		{kernelMessagesTotal, counter, []string{labelKind},
			"Messages of the kernel that a table is full, since the daemon started. The kernel limits their rate.",
			"the kernel's log cannot be read"},
	}
}

// losses lists the counters of lost packets and connections: "drop (dropped), early_drop (evicted)".
func losses() string {
	var list []string
	for _, c := range status.Counters() {
		if c.IsLoss {
			list = append(list, c.Name+" ("+c.Word+")")
		}
	}
	return strings.Join(list, ", ")
}

// descriptions returns the families by name, for Prometheus's library.
func descriptions() map[string]*prometheus.Desc {
	descs := map[string]*prometheus.Desc{}
	for _, f := range families() {
		descs[f.name] = prometheus.NewDesc(f.name, f.help, f.labels, nil)
	}
	return descs
}
