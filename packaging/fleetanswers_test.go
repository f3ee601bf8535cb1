package packaging

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/table"
)

// A question is what docs/fleet.md asks, and what the answer has to be.
type question struct {
	want    []string
	format  func(sample) string
	ordered bool
}

// with returns a format of samples: the values of labels, and the value of the sample behind them.
func with(names ...string) func(sample) string {
	return func(s sample) string { return labels(s, names...) + " " + s.number() }
}

// only returns a format of samples: the values of labels.
func only(names ...string) func(sample) string {
	return func(s sample) string { return labels(s, names...) }
}

// isUp reports whether the daemon of a host answers.
func (h *simHost) isUp() bool { return h.fault.name != exporterDown && h.fault.name != daemonDown }

// hasModule reports whether a host has the settings of the module.
func (h *simHost) hasModule() bool { return h.isUp() && h.fault.name != moduleAbsent }

// off returns the setting that is not as wanted, or "".
func (h *simHost) off() string {
	switch h.fault.name {
	case contested, observedDrift:
		return "max"
	case forbidden, canaryFails:
		return "hashsize"
	}
	return ""
}

// writer returns who changes max, or "".
func (h *simHost) writer() string {
	return map[string]string{contested: "tuned.service", kubeProxy: "container/kube-proxy",
		firewalld: "firewalld.service", once: "session-*.scope"}[h.fault.name]
}

// seconds returns when the fault began, as Prometheus prints the time.
func (h *simHost) seconds() string { return float(float64(h.since.UnixMilli()) / 1000) }

func float(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// list returns a text for each host that is selected.
func (f *fleet) list(selects func(*simHost) bool, text func(*simHost) string) (list []string) {
	for _, h := range f.hosts {
		if selects(h) {
			list = append(list, text(h))
		}
	}
	return list
}

// counts returns how many of the selected hosts have a text.
func (f *fleet) count(selects func(*simHost) bool, text func(*simHost) string) map[string]int {
	n := map[string]int{}
	for _, text := range f.list(selects, text) {
		n[text]++
	}
	return n
}

// texts returns a count as "KEY NUMBER".
func texts(counts map[string]int) (list []string) {
	for key, n := range counts {
		list = append(list, fmt.Sprintf("%s %d", key, n))
	}
	return list
}

func hasFault(names ...string) func(*simHost) bool {
	return func(h *simHost) bool { return slices.Contains(names, h.fault.name) }
}

func nameOf(h *simHost) string    { return h.name }
func hashOf(h *simHost) string    { return h.hash }
func kernelOf(h *simHost) string  { return h.kernel }
func versionOf(h *simHost) string { return h.version }
func isOff(h *simHost) bool       { return h.off() != "" }

// fills returns the table that is filled to 80 % or more, or "".
func (h *simHost) fills() string {
	switch h.fault.name {
	case connectionsHigh, connectionsCritical, dropping, evicting:
		return table.Connections
	case expectationsHigh, expectationsCritical, expectationsFull:
		return table.Expectations
	}
	return ""
}

// isCritical reports whether a table of a host is nearly full.
func isCritical(h *simHost) bool {
	return h.fills() != "" && h.fault.name != connectionsHigh && h.fault.name != expectationsHigh
}

// questions returns what docs/fleet.md asks, and the answers.
func (f *fleet) questions() map[string]question {
	all := map[string]question{}
	for _, part := range []map[string]question{
		f.driftQuestions(), f.kindQuestions(), f.tableQuestions(), f.missingQuestions(),
	} {
		maps.Copy(all, part)
	}
	return all
}

// driftQuestions are those about settings that differ, and who changes them.
func (f *fleet) driftQuestions() map[string]question {
	maxOf := func(h *simHost) string { return h.name + " max" }
	sinceOff := f.list(isOff, func(h *simHost) string { return h.name + " " + h.off() + " " + h.seconds() })
	slices.Reverse(sinceOff) // the first hosts have their fault since the latest time
	return map[string]question{
		"Which settings differ, on which hosts, and since when?": {sinceOff, with("instance", "setting"), true},
		"Which settings does somebody change again and again?": {
			f.list(hasFault(contested, kubeProxy, firewalld), maxOf), only("instance", "setting"), false,
		},
		"Which hosts have contested settings, and with whom?": {
			f.list(hasFault(contested), func(h *simHost) string { return maxOf(h) + " tuned.service" }),
			only("instance", "setting", "by"), false,
		},
		"Who changes which setting, and on how many hosts?": {[]string{"max container/kube-proxy 10",
			"max firewalld.service 7", "max tuned.service 5", "max session-*.scope 4"}, with("setting", "by"), true},
		"On which hosts does kube-proxy change a setting, and when did it last?": {
			f.list(hasFault(kubeProxy), func(h *simHost) string { return maxOf(h) + " " + h.seconds() }),
			with("instance", "setting"), false,
		},
		"Which live values would enforcement change, on how many hosts?": {
			[]string{"max 65536 12"}, with("setting", "live"), false,
		},
	}
}

// kindQuestions are those about kernels, configurations, versions, modes and the guard.
func (f *fleet) kindQuestions() map[string]question {
	var shares []string
	all := f.count((*simHost).isUp, hashOf)
	for hash, n := range f.count(isOff, hashOf) {
		shares = append(shares, hash+" "+float(float64(n)/float64(all[hash])))
	}
	guards := f.count((*simHost).isUp, func(h *simHost) string {
		if h.fault.name == guardUnavailable {
			return "unavailable"
		}
		return "off"
	})
	observing := f.list(func(h *simHost) bool { return h.observe && h.isUp() }, nameOf)
	return map[string]question{
		"How many of the hosts that differ have which kernel?": {
			texts(f.count(isOff, kernelOf)), with("release"), false,
		},
		"What share of the hosts of each configuration differs?": {shares, with("hash"), false},
		"Which hosts do not have the most common configuration?": {
			f.notMost(hashOf), only("instance", "hash"), false,
		},
		"Which hosts refused their newest configuration?": {
			f.list(hasFault(refused), nameOf), only("instance"), false,
		},
		"Which hosts do not have the most common version?": {
			f.notMost(versionOf), only("instance", "version"), false,
		},
		"What does the guard do, on how many hosts?": {texts(guards), with("state"), false},
		"How many hosts only observe?":               {[]string{fmt.Sprint(" ", len(observing))}, with(), false},
		"How many hosts of each configuration have a table that fills?": {
			texts(f.count(func(h *simHost) bool { return h.fills() != "" }, hashOf)), with("hash"), false,
		},
	}
}

// tableQuestions are those about tables and what is lost.
func (f *fleet) tableQuestions() map[string]question {
	return map[string]question{
		"Which tables are nearly full?": {
			f.list(isCritical, func(h *simHost) string { return h.name + " " + h.fills() }),
			only("instance", "table"), false,
		},
		"Which tables of connections are the fullest, in percent?": {slices.Concat(
			f.fillsTo(dropping, 100), f.fillsTo(evicting, 97), f.fillsTo(connectionsCritical, 96),
		), with("instance"), false},
		"Where does the kernel lose packets or connections?": {slices.Concat(
			f.lost(dropping, "drop"), f.lost(evicting, "early_drop"), f.lost(chains, "chainlength"),
		), only("instance", "event"), false},
	}
}

// missingQuestions are those about hosts that do not answer, or not as they should.
func (f *fleet) missingQuestions() map[string]question {
	racks := f.count(hasFault(exporterDown), func(h *simHost) string { return h.rack })
	hosts := func(fault string) question { return question{f.list(hasFault(fault), nameOf), only("instance"), false} }
	return map[string]question{
		"Which hosts do not answer, by rack?":                     {texts(racks), with("rack"), false},
		"On which hosts does the exporter answer, but no daemon?": hosts(daemonDown),
		"On which hosts does a second ctkeeper wait?":             hosts(secondKeeper),
		"On which hosts is the module absent?":                    hosts(moduleAbsent),
	}
}

// fillsTo returns the hosts with a fault, whose table is so full.
func (f *fleet) fillsTo(fault string, percent int) []string {
	return f.list(hasFault(fault), func(h *simHost) string { return fmt.Sprintf("%s %d", h.name, percent) })
}

// lost returns the hosts with a fault, whose counter of the event grows.
func (f *fleet) lost(fault, event string) []string {
	return f.list(hasFault(fault), func(h *simHost) string { return h.name + " " + event })
}

// notMost returns the hosts that have another text than most hosts.
func (f *fleet) notMost(text func(*simHost) string) []string {
	counts := f.count((*simHost).isUp, text)
	return f.list(func(h *simHost) bool { return h.isUp() && counts[text(h)] < len(f.hosts)/2 },
		func(h *simHost) string { return h.name + " " + text(h) })
}

// recorded returns the values of each recording rule.
func (f *fleet) recorded() map[string][]string {
	// in puts the job before a text.
	in := func(text func(*simHost) string) func(*simHost) string {
		return func(h *simHost) string { return h.job + " " + text(h) }
	}
	jobOf := func(h *simHost) string { return h.job }
	isMain := func(h *simHost) bool { return h.job == "ctkeeper" }
	isMainUp := func(h *simHost) bool { return isMain(h) && h.isUp() }
	isEnforcing := func(h *simHost) bool { return h.isUp() && !h.observe }
	writes := func(h *simHost) bool { return h.writer() != "" }
	// with0 counts the hosts with a fault, in both jobs.
	with0 := func(fault string) []string {
		return []string{fmt.Sprintf("ctkeeper %d", len(f.list(hasFault(fault), nameOf))), "node 0"}
	}
	failing := f.count(hasFault(contested, forbidden, canaryFails), in(hashOf))
	critical := map[string]int{"node connections": 0, "node expectations": 0}
	maps.Copy(critical, f.count(isCritical, in((*simHost).fills)))
	for key := range f.count((*simHost).isUp, in(hashOf)) {
		failing[key] += 0
	}
	return map[string][]string{
		"job:ctkeeper_hosts:count":                       texts(f.count(isMain, jobOf)),
		"job:ctkeeper_up:sum":                            texts(f.count(isMainUp, jobOf)),
		"job:ctkeeper_enforcing:sum":                     texts(f.count(isEnforcing, jobOf)),
		"job_version:ctkeeper_build_info:count":          texts(f.count((*simHost).isUp, in(versionOf))),
		"job_release:ctkeeper_kernel_info:count":         texts(f.count((*simHost).isUp, in(kernelOf))),
		"job_hash:ctkeeper_config_info:count":            texts(f.count((*simHost).isUp, in(hashOf))),
		"job_hash:ctkeeper_config_info_failing:count":    texts(failing),
		"job:ctkeeper_config_refused:count":              with0(refused),
		"job_setting:ctkeeper_setting_out_of_sync:count": f.outOfSync(),
		"job:ctkeeper_contested_settings:sum":            with0(contested),
		"job_setting_by:ctkeeper_drift_hosts:count": texts(f.count(writes,
			in(func(h *simHost) string { return "max " + h.writer() }))),
		"job_table:ctkeeper_table_critical:count": texts(critical),
		"job:ctkeeper_conntrack_fill_ratio:p99": {
			"ctkeeper " + f.fillQuantile("ctkeeper"), "node " + f.fillQuantile("node"),
		},
		"job_event:ctkeeper_conntrack_stat:rate5m": {
			"ctkeeper chainlength true", "ctkeeper drop true", "ctkeeper early_drop true",
			"node chainlength false", "node drop false", "node early_drop false",
		},
	}
}

// outOfSync returns how many hosts have a setting that differs, for each job and setting.
func (f *fleet) outOfSync() []string {
	counts := map[string]int{}
	for _, h := range f.hosts {
		for _, setting := range []string{
			"hashsize", "max", "expect_max", "tcp_timeout_established", "udp_timeout_stream",
		} {
			if h.off() == setting {
				counts[h.job+" "+setting]++
			} else if h.hasModule() {
				counts[h.job+" "+setting] += 0
			}
		}
	}
	return texts(counts)
}

// fillQuantile returns the quantile 0.99 of the fill of the hosts of a job, as Prometheus interpolates it.
func (f *fleet) fillQuantile(job string) string {
	var fills []float64
	for _, h := range f.hosts {
		a, err := simDaemon{h, f}.answer()
		if h.job == job && h.isUp() && err == nil && a.Module.State != kmod.Absent {
			fills = append(fills, float64(*a.Table.Entries)/float64(*a.Table.Max))
		}
	}
	slices.Sort(fills)
	rank := 0.99 * float64(len(fills)-1)
	low := int(math.Floor(rank))
	weight := rank - math.Floor(rank)
	return float(fills[low]*(1-weight) + fills[min(low+1, len(fills)-1)]*weight)
}
