package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// Limits of a search: the pods, and the files of a pod's ConfigMap volumes that are looked at, and
	// the bytes of such a file.
	maxPods        = 500
	maxVolumeFiles = 200
	maxConfigMap   = 128 << 10
)

// proxy is one kube-proxy that a file or process configures.
type proxy struct {
	tool  string // kube-proxy, k3s or rke2
	file  string
	given map[string]pair // by the key of proxyOption
	// config is the file that --config names: the flags above are then ignored (options.go).
	config   string
	versions versions
	// setsAlone is true for a k3s or rke2 that sets max by itself: exactly, without a limit, and no
	// hashsize.
	setsAlone bool
	// noEffect and doubt are those of all its assignments.
	noEffect, doubt string
}

func newProxy(tool, file string) proxy {
	return proxy{tool: tool, file: file, given: map[string]pair{}}
}

// readKubeProxy reads the configuration of kube-proxy wherever it is: its configuration files (kubelet
// keeps the ConfigMap of a pod as a file), the flags in a static pod, a unit, a snap or a process, and
// k3s and rke2, which bring it along.
func (r *reader) readKubeProxy() {
	processes, anyProcess := r.proxyProcesses()
	isRKE2 := slices.ContainsFunc(processes, func(p proxy) bool { return p.tool == "rke2" })
	isOther := func(p proxy) bool { return p.tool != "kube-proxy" || isRKE2 }
	running := slices.DeleteFunc(slices.Clone(processes), isOther)
	starters := r.proxyStarters()
	used, idle := r.splitConfigs(starters, running)
	var flags []proxy
	for _, s := range starters {
		if s.config == "" {
			flags = append(flags, s)
		}
	}
	candidates := slices.Concat(flags, used)
	switch {
	case slices.ContainsFunc(running, func(p proxy) bool { return p.config == "" }):
		candidates = flags
		if len(flags) == 0 {
			candidates = running[:1]
		}
	case len(running) > 0 && len(used) > 0:
		candidates = used
	}
	if len(running) > 0 {
		for i := range candidates {
			candidates[i].noEffect, candidates[i].doubt = "", ""
		}
	} else {
		isOff := func(p proxy) bool { return p.noEffect != "" }
		if on := slices.DeleteFunc(slices.Clone(candidates), isOff); len(on) > 0 {
			candidates = on
		}
	}
	candidates = uniqueProxies(candidates)
	switch {
	case len(candidates) == 0:
		candidates = uniqueProxies(idle)
		for i := range candidates {
			candidates[i].doubt = "it is not known whether a kube-proxy uses this file"
		}
	case len(candidates) > 1:
		for i := range candidates {
			candidates[i].doubt = "kube-proxy may use " + candidates[(i+1)%len(candidates)].file + " instead"
		}
	case anyProcess && len(processes) == 0:
		candidates[0].doubt = "no kube-proxy runs now"
	}
	version := r.proxyVersions()
	for _, p := range candidates {
		p.versions = p.versions.and(version)
		r.addProxy(p)
	}
	r.readAgents(processes, anyProcess)
}

// readProxyTraces adds the live timeouts as a mention where they are kube-proxy's defaults, which no kernel has, and
// nothing that was read sets them: a kube-proxy whose configuration is not on this host then set max as well.
func (r *reader) readProxyTraces() {
	const closeWait, established = "tcp_timeout_close_wait", "tcp_timeout_established"
	isSet := slices.ContainsFunc(r.inv.Assignments, func(a Assignment) bool {
		return a.Name == closeWait || a.Name == established
	})
	if isSet || r.live(closeWait) != 3600 || r.live(established) != 86400 {
		return
	}
	r.inv.Mentions = append(r.inv.Mentions, Mention{
		Place: tree.Place{File: "/" + sysfs.Lookup(closeWait).File()},
		Text:  "3600, and tcp_timeout_established 86400: a kube-proxy has set them",
		Sets:  []string{sysfs.Hashsize, sysfs.Max},
	})
}

// splitConfigs returns the configuration files of kube-proxy: those that a pod or one of these
// starters uses, and those of which that is not known. The path that a process in a pod has is one
// within its container.
func (r *reader) splitConfigs(starters, running []proxy) (used, idle []proxy) {
	used = r.podConfigs()
	users := slices.Clone(starters)
	if len(used) == 0 {
		users = append(users, running...)
	}
	seen := map[string]bool{}
	for _, s := range users {
		if s.config == "" || seen[s.config] {
			continue
		}
		seen[s.config] = true
		if p, ok := r.readProxyConfig(s.config); ok {
			p.versions, p.noEffect, p.doubt = p.versions.and(s.versions), s.noEffect, s.doubt
			used = append(used, p)
		}
	}
	for _, file := range r.proxyFiles() {
		if seen[file] {
			continue
		}
		if p, ok := r.readProxyConfig(file); ok {
			idle = append(idle, p)
		}
	}
	return used, append(idle, r.environmentFlags(starters)...)
}

// uniqueProxies returns the first of those that are configured alike.
func uniqueProxies(all []proxy) []proxy {
	var unique []proxy
	for _, p := range all {
		if !slices.ContainsFunc(unique, p.isLike) {
			unique = append(unique, p)
		}
	}
	return unique
}

// isLike reports whether two kube-proxies have the same options.
func (p proxy) isLike(q proxy) bool {
	return maps.EqualFunc(p.given, q.given, func(a, b pair) bool { return a.value == b.value })
}

// proxyProcesses returns the running processes that are or have a kube-proxy, and whether any process
// is known at all: a collected tree may have some, or none. k3s and rke2 show their title as one word.
func (r *reader) proxyProcesses() (found []proxy, anyProcess bool) {
	all := process.List(r.tree)
	for _, running := range all {
		words := strings.Fields(strings.Join(running.Args, " "))
		if len(words) == 0 || running.OtherNetns {
			continue
		}
		p := newProxy(path.Base(words[0]), running.File())
		if p.tool == "hyperkube" && len(words) > 1 && strings.HasSuffix(words[1], "proxy") {
			p.tool = "kube-proxy"
		}
		switch p.tool {
		case "kube-proxy":
			p.findFlags(placeWords(tree.Place{File: p.file}, words))
			found = append(found, p)
		case "k3s", "rke2", "kubelite":
			found = append(found, p)
		}
	}
	return found, len(all) > 0
}
