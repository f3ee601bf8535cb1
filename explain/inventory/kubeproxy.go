package inventory

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// proxyOption is one option of kube-proxy (KubeProxyConntrackConfiguration): its key in a
// configuration file, and its flag.
type proxyOption struct {
	key, flag string
	// setting is what it sets; empty for the two that max is computed from.
	setting      string
	defaultValue string
}

func proxyOptions() []proxyOption {
	return []proxyOption{
		{"maxPerCore", "conntrack-max-per-core", "", "32768"},
		{"min", "conntrack-min", "", "131072"},
		{"tcpEstablishedTimeout", "conntrack-tcp-timeout-established", "tcp_timeout_established", "24h"},
		{"tcpCloseWaitTimeout", "conntrack-tcp-timeout-close-wait", "tcp_timeout_close_wait", "1h"},
		{"tcpBeLiberal", "conntrack-tcp-be-liberal", "tcp_be_liberal", "false"},
		{"udpTimeout", "conntrack-udp-timeout", "udp_timeout", "0s"},
		{"udpStreamTimeout", "conntrack-udp-timeout-stream", "udp_timeout_stream", "0s"},
	}
}

// proxy is one kube-proxy that a file starts or configures.
type proxy struct {
	tool  string // kube-proxy or k3s
	file  string
	given map[string]pair // by key
}

// readKubeProxy reads the configuration of kube-proxy: its configuration files (kubelet keeps the
// ConfigMap of a pod as a file too), the flags in a static pod or a unit, and k3s, which has
// kube-proxy built in.
func (r *reader) readKubeProxy() {
	for _, file := range r.proxyConfigs() {
		if text, ok := r.read(file); ok {
			r.addProxyConfig(file, text)
		}
	}
	const manifests = "/etc/kubernetes/manifests"
	for _, name := range r.list(manifests) {
		file := path.Join(manifests, name)
		if text, ok := r.read(file); ok && strings.Contains(text, "kube-proxy") {
			r.addProxyFlags(file, text)
		}
	}
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		file := path.Join(dir, "kube-proxy.service")
		if text, ok := r.read(file); ok {
			if !strings.Contains(text, "--config") { // with it, kube-proxy ignores the flags
				r.addProxyFlags(file, text)
			}
			break
		}
	}
	r.readK3s()
}

// proxyConfigs returns the paths of kube-proxy's configuration files.
func (r *reader) proxyConfigs() []string {
	configs := []string{
		"/var/lib/kube-proxy/config.conf", "/var/lib/kube-proxy/config.yaml",
		"/var/lib/kube-proxy/kube-proxy-config.yaml",
	}
	for _, name := range r.list("/etc/kubernetes") {
		isConfig := slices.Contains([]string{".yaml", ".yml", ".conf"}, path.Ext(name))
		if isConfig && strings.HasPrefix(name, "kube-proxy") && !strings.Contains(name, "kubeconfig") {
			configs = append(configs, path.Join("/etc/kubernetes", name))
		}
	}
	const pods = "/var/lib/kubelet/pods"
	for _, pod := range r.list(pods) {
		configs = append(configs, path.Join(pods, pod, "volumes/kubernetes.io~configmap/kube-proxy/config.conf"))
	}
	return configs
}

// readK3s reads the flags of the kube-proxy in k3s. The command line overrides the configuration
// file.
func (r *reader) readK3s() {
	p := proxy{tool: "k3s", given: map[string]pair{}}
	for _, file := range []string{
		"/etc/rancher/k3s/config.yaml", "/etc/systemd/system/k3s.service", "/etc/systemd/system/k3s-agent.service",
	} {
		if text, ok := r.read(file); ok {
			p.findFlags(file, text)
			p.file = cmp.Or(p.file, file)
		}
	}
	if p.file != "" {
		r.addProxy(p)
	}
}

// addProxyFlags adds what a kube-proxy with the flags in a file sets.
func (r *reader) addProxyFlags(file, text string) {
	p := proxy{tool: "kube-proxy", file: file, given: map[string]pair{}}
	p.findFlags(file, text)
	r.addProxy(p)
}

// addProxyConfig adds what a kube-proxy with this KubeProxyConfiguration sets.
func (r *reader) addProxyConfig(file, text string) {
	var config struct {
		Kind      string
		Conntrack map[string]yaml.Node
	}
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		r.addTrouble(tree.Place{File: file}, errYAML)
		return
	}
	if config.Kind != "KubeProxyConfiguration" {
		return
	}
	p := proxy{tool: "kube-proxy", file: file, given: map[string]pair{}}
	for _, o := range proxyOptions() {
		if value := config.Conntrack[o.key]; value.Kind == yaml.ScalarNode && value.ShortTag() != "!!null" {
			at := tree.Place{File: file, Line: value.Line}
			p.given[o.key] = pair{Place: at, name: "conntrack." + o.key, value: value.Value}
		}
	}
	r.addProxy(p)
}

// findFlags finds flags of kube-proxy in a file that starts it, whatever its format: --FLAG=VALUE,
// or FLAG=VALUE for k3s.
func (p proxy) findFlags(file, text string) {
	for number, line := range numbered(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		words := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\"',[]\\", c) })
		for i, word := range words {
			for _, o := range proxyOptions() {
				value, found := cutFlag(word, o.flag)
				if found && value == "" && i+1 < len(words) {
					value = words[i+1]
				}
				if found {
					p.given[o.key] = pair{Place: tree.Place{File: file, Line: number}, name: o.flag, value: value}
				}
			}
		}
	}
}

// cutFlag returns the value in --kube-proxy-arg=FLAG=VALUE, --FLAG=VALUE or FLAG=VALUE, and "" for
// --FLAG, whose value is the next word.
func cutFlag(word, flag string) (string, bool) {
	word = strings.TrimPrefix(word, "--kube-proxy-arg=")
	rest, found := strings.CutPrefix(strings.TrimLeft(word, "-"), flag)
	if value, assigned := strings.CutPrefix(rest, "="); found && assigned {
		return value, true
	}
	return "", found && rest == ""
}

// addProxy adds what a kube-proxy with these options sets: each value exactly, whatever it was
// (setIntSysCtl), except hashsize, which it raises to a quarter of max (SetMax). k3s does not set
// hashsize.
func (r *reader) addProxy(p proxy) {
	add := func(at tree.Place, setting, key, value string) {
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && n > 0 {
			raises := setting == sysfs.Hashsize
			r.addAssignment(Assignment{
				Place: at, Name: setting, Key: key, Value: value, AtLeast: raises, Tool: p.tool, Phase: AtServiceStart,
			})
		}
	}
	perCore, at := r.proxyNumber(p, 0)
	floor, atFloor := r.proxyNumber(p, 1)
	if perCore > 0 {
		limit := perCore * int64(r.processors())
		key := "conntrack.maxPerCore"
		if limit <= floor {
			limit, at, key = floor, atFloor, "conntrack.min"
		}
		add(at, "max", key, strconv.FormatInt(limit, 10))
		if p.tool != "k3s" {
			add(at, sysfs.Hashsize, key, strconv.FormatInt(limit/4, 10))
		}
	}
	for _, o := range proxyOptions()[2:] {
		given := p.option(o)
		if value, ok := proxyValue(given.value); ok {
			add(given.Place, o.setting, given.name, value)
		} else {
			r.addTrouble(given.Place, errDuration)
		}
	}
}

// option returns an option as it is given, or its default.
func (p proxy) option(o proxyOption) pair {
	if given, there := p.given[o.key]; there {
		return given
	}
	return pair{Place: tree.Place{File: p.file}, name: o.flag, value: o.defaultValue}
}

// proxyNumber returns the value of maxPerCore (0) or min (1), and its place.
func (r *reader) proxyNumber(p proxy, i int) (int64, tree.Place) {
	given := p.option(proxyOptions()[i])
	n, err := strconv.ParseInt(given.value, 10, 32)
	if err != nil {
		r.addTrouble(given.Place, errNumber)
		return 0, given.Place
	}
	return n, given.Place
}

// proxyValue converts a bool or a duration to the kernel's number.
func proxyValue(text string) (string, bool) {
	switch text {
	case "true":
		return "1", true
	case "false", "0":
		return "0", true
	}
	d, err := time.ParseDuration(text)
	return strconv.FormatInt(int64(d/time.Second), 10), err == nil
}

// processors returns the number of CPUs: those online, else those in /proc/cpuinfo, else 1.
func (r *reader) processors() int {
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
	return max(1, count)
}
