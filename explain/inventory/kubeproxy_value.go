package inventory

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxScaled is the most that kube-proxy since 1.36 computes from maxPerCore, whatever min is
// (getConntrackMax in pkg/proxy/conntrack/sysctls.go, pull request 137002).
const maxScaled = 1048576

// proxyOption is one option of kube-proxy (KubeProxyConntrackConfiguration): its key in a
// configuration file, and its flag.
type proxyOption struct {
	key, flag string
	// setting is what it sets; empty for the two that max is computed from.
	setting      string
	defaultValue string
	// kernelValue is the kernel's own value.
	kernelValue int64
}

func proxyOptions() []proxyOption {
	return []proxyOption{
		{"maxPerCore", "conntrack-max-per-core", "", "32768", 0},
		{"min", "conntrack-min", "", "131072", 0},
		{"tcpEstablishedTimeout", "conntrack-tcp-timeout-established", "tcp_timeout_established", "24h", 432000},
		{"tcpCloseWaitTimeout", "conntrack-tcp-timeout-close-wait", "tcp_timeout_close_wait", "1h", 60},
		{"tcpBeLiberal", "conntrack-tcp-be-liberal", "tcp_be_liberal", "false", 0},
		{"udpTimeout", "conntrack-udp-timeout", "udp_timeout", "0s", 30},
		{"udpStreamTimeout", "conntrack-udp-timeout-stream", "udp_timeout_stream", "0s", 180},
	}
}

// versions is a range of versions of Kubernetes, both ends included. The zero value is every version.
type versions struct{ from, to int }

// version returns 1.minor.patch as a number.
func version(minor, patch int) int { return minor*1000 + patch }

// and returns the versions in both ranges, or w where they have none in common.
func (v versions) and(w versions) versions {
	both := versions{max(v.from, w.from), v.to}
	if v.to == 0 || w.to != 0 && w.to < v.to {
		both.to = w.to
	}
	if both.to != 0 && both.from > both.to {
		return w
	}
	return both
}

// findVersion returns the last version that a pattern finds in a text.
func findVersion(text string, form *pattern.Pattern) versions {
	all := form.FindAllStringSubmatch(text, -1)
	if len(all) == 0 {
		return versions{}
	}
	last := all[len(all)-1]
	minor, _ := strconv.Atoi(last[1])
	patch, _ := strconv.Atoi(last[2])
	return versions{version(minor, patch), version(minor, patch)}
}

// proxyVersions returns the versions that the kube-proxy of this node may have. Its log names it; else
// it is the API server's or up to three minor versions older (the version skew policy of Kubernetes).
func (r *reader) proxyVersions() versions {
	const logs = "/var/log/pods"
	pods, _ := r.tree.List(logs)
	for _, pod := range pods {
		if !strings.HasPrefix(pod, "kube-system_kube-proxy-") {
			continue
		}
		dir := path.Join(logs, pod, "kube-proxy")
		names, _ := r.tree.List(dir)
		for _, name := range slices.Backward(names) {
			text, _ := r.tree.Read(path.Join(dir, name), maxFile)
			if v := findVersion(string(text), logVersion); v.to != 0 {
				return v
			}
		}
	}
	for _, name := range []string{"kube-apiserver.yaml", "kube-controller-manager.yaml"} {
		text, _ := r.tree.Read(path.Join("/etc/kubernetes/manifests", name), maxFile)
		if v := findVersion(string(text), imageVersion); v.to != 0 {
			return versions{max(0, v.from-version(3, 0)) / 1000 * 1000, v.to}
		}
	}
	return versions{}
}

// step is the first version from which on kube-proxy does something, or does not.
type step struct {
	from int
	does truth
}

// capSteps: since 1.36 the scaled value stops at maxScaled.
func capSteps() []step { return []step{{0, no}, {version(36, 0), yes}} }

// raiseSteps: 1.23 to 1.28 write a value only if the present one is lower (pull request 103174, merged
// between 1.22 and 1.23; 120448 reverted it in 1.29).
func raiseSteps() []step {
	return []step{{0, no}, {version(22, 0), unknown}, {version(23, 0), yes}, {version(29, 0), no}}
}

// raiseMaxSteps: for max also since 1.37 (142035), which patch releases of 1.36 and 1.37 took over:
// 1.36.3 still lowers it (tried).
func raiseMaxSteps() []step {
	return append(raiseSteps(), step{version(36, 4), unknown}, step{version(37, 0), unknown}, step{version(37, 2), yes})
}

// do returns whether the versions of a range do something: unknown if some do and some do not.
func (v versions) do(steps []step) truth {
	does, first := no, true
	for i, s := range steps {
		after := i+1 < len(steps) && steps[i+1].from <= v.from
		if after || v.to != 0 && s.from > v.to {
			continue
		}
		if !first && does != s.does {
			return unknown
		}
		does, first = s.does, false
	}
	return does
}

// addProxy adds what a kube-proxy with these options sets: max, and hashsize, which it only raises, to
// a quarter of max (SetMax); the timeouts.
func (r *reader) addProxy(p proxy) {
	r.addMax(p)
	for _, o := range proxyOptions()[2:] {
		given := p.option(o)
		if value, ok := proxyValue(given.value); ok {
			r.addProxyValue(p, given, o.setting, value, p.versions.do(raiseSteps()), o.kernelValue)
		} else {
			r.addTrouble(given.Place, errDuration)
		}
	}
}

// addMax adds max and hashsize: maxPerCore times the CPUs, or min if that is more.
func (r *reader) addMax(p proxy) {
	perCore, at := r.proxyNumber(p, 0)
	floor, atFloor := r.proxyNumber(p, 1)
	if perCore <= 0 {
		return
	}
	cpus, known := r.processors()
	limit := perCore * int64(cpus)
	capped := min(limit, maxScaled)
	if limit <= floor {
		limit, at = floor, atFloor
	}
	if capped < maxScaled {
		capped = max(capped, floor)
	}
	if !known && p.doubt == "" {
		p.doubt = "the number of CPUs is not known"
	}
	stops, raises := p.versions.do(capSteps()), p.versions.do(raiseMaxSteps())
	if p.tool != "kube-proxy" { // it has set max to limit before its kube-proxy starts
		if p.setsAlone || raises == yes {
			stops = no
		} else if raises == unknown && stops == yes {
			stops = unknown
		}
		raises = no
	}
	values, live := []int64{limit}, r.live("max")
	switch {
	case limit == capped || stops == no || stops == unknown && live == limit:
	case stops == yes || live == capped:
		values = []int64{capped}
	default:
		values = []int64{limit, capped}
		if p.doubt == "" {
			p.doubt = fmt.Sprintf("depends on kube-proxy's version: %d up to 1.35, %d since 1.36", limit, capped)
		}
	}
	for _, value := range values {
		r.addProxyValue(p, at, "max", value, raises, 262144) // kernels start with that or less
		if !p.setsAlone {
			r.addProxyValue(p, at, sysfs.Hashsize, value/4, yes, 0)
		}
	}
}

// live returns a setting's live value, -1 if it is not known.
func (r *reader) live(setting string) int64 {
	text, err := r.tree.Read("/"+sysfs.Lookup(setting).File(), maxValue)
	if err != nil {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// addProxyValue adds one value, if it is not zero: zero leaves the setting alone. Whether kube-proxy
// only raises the setting matters where something else has set more, and the live value may tell.
func (r *reader) addProxyValue(p proxy, at pair, setting string, value int64, raises truth, kernel int64) {
	if value <= 0 {
		return
	}
	a := Assignment{
		Place: at.Place, Name: setting, Key: at.name, Value: strconv.FormatInt(value, 10), Tool: p.tool,
		Phase: AtServiceStart, AtLeast: raises == yes, Uncertain: p.doubt, NoEffect: p.noEffect,
	}
	if a.Line == 0 { // no option sets it: it is a default
		a.Key = strings.TrimPrefix(sysfs.Lookup(setting).Sysctl(), "net.netfilter.")
	}
	before, isSet := r.before(setting)
	switch {
	case a.NoEffect != "" || setting == sysfs.Hashsize:
	case raises == unknown && a.Uncertain == "" && max(before, kernel) > value && r.live(setting) != value:
		a.Uncertain = "depends on kube-proxy's version: 1.23 to 1.28 only raise the value"
		if setting == "max" {
			a.Uncertain = "depends on kube-proxy's version: 1.23 to 1.28, and 1.37, only raise the value"
		}
	case raises == yes && !isSet && kernel >= value && setting != "max":
		a.NoEffect = fmt.Sprintf("it only raises, and the kernel's own value is %d", kernel)
	}
	r.addAssignment(a)
}

// before returns the highest value that something else sets a setting to, and whether anything does.
func (r *reader) before(setting string) (highest int64, isSet bool) {
	for _, a := range r.inv.Assignments {
		if value, err := strconv.ParseInt(a.Value, 0, 64); a.Name == setting && a.NoEffect == "" && err == nil {
			highest, isSet = max(highest, value), true
		}
	}
	return highest, isSet
}

// option returns an option as it is given, or its default.
func (p proxy) option(o proxyOption) pair {
	if given, there := p.given[o.key]; there {
		return given
	}
	return pair{Place: tree.Place{File: p.file}, name: o.flag, value: o.defaultValue}
}

// proxyNumber returns the value of maxPerCore (0) or min (1), and where it is given.
func (r *reader) proxyNumber(p proxy, i int) (int64, pair) {
	given := p.option(proxyOptions()[i])
	n, err := strconv.ParseInt(given.value, 10, 32)
	if err != nil {
		r.addTrouble(given.Place, errNumber)
		return 0, given
	}
	return n, given
}

// proxyValue converts a bool or a duration to the kernel's number.
func proxyValue(text string) (int64, bool) {
	switch text {
	case "true":
		return 1, true
	case "false", "0":
		return 0, true
	}
	d, err := time.ParseDuration(text)
	return int64(d / time.Second), err == nil
}

// processors returns the number of CPUs, and whether it is known: those online, else those in
// /proc/cpuinfo.
func (r *reader) processors() (int, bool) {
	text, _ := r.read("/sys/devices/system/cpu/online")
	count := 0
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		switch {
		case err1 == nil && !isRange:
			count++
		case err1 == nil && err2 == nil && b >= a && b < 1<<16:
			count += b - a + 1
		}
	}
	if count == 0 {
		text, _ := r.read("/proc/cpuinfo")
		count = strings.Count("\n"+text, "\nprocessor\t")
	}
	return max(1, count), count > 0
}
