package inventory

import (
	"errors"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxDocuments limits the documents of one YAML file.
const maxDocuments = 100

// proxyKind matches what makes a file kube-proxy's.
var proxyKind = pattern.New(`\bkind["']?\s*:\s*["']?KubeProxyConfiguration\b`)

// podConfigs returns the configurations of kube-proxy in the ConfigMap volumes of the pods of this
// node. What makes a file kube-proxy's is its kind: kubeadm calls it kube-proxy/config.conf, EKS
// config/config, OpenShift config/kube-proxy-config.yaml. Other applications' files are skipped
// without a word. The data of a volume are links to the directory "..data".
func (r *reader) podConfigs() []proxy {
	var found []proxy
	for _, root := range []string{
		"/var/lib/kubelet", "/var/lib/k0s/kubelet", "/var/snap/microk8s/common/var/lib/kubelet",
	} {
		pods, _ := r.tree.List(path.Join(root, "pods"))
		for _, pod := range pods[:min(len(pods), maxPods)] {
			volumes := path.Join(root, "pods", pod, "volumes/kubernetes.io~configmap")
			for _, file := range r.volumeFiles(volumes) {
				data, err := r.tree.Read(file, maxConfigMap)
				if err == nil && proxyKind.Match(data) {
					if p, ok := r.parseProxyConfig(file, string(data)); ok {
						found = append(found, p)
					}
				}
			}
		}
	}
	return found
}

// volumeFiles returns the files in the volumes in a directory.
func (r *reader) volumeFiles(dir string) []string {
	var files []string
	volumes, _ := r.tree.List(dir)
	for _, volume := range volumes {
		names, _ := r.tree.List(path.Join(dir, volume))
		for _, name := range names {
			if !strings.HasPrefix(name, "..") && len(files) < maxVolumeFiles {
				files = append(files, path.Join(dir, volume, name))
			}
		}
	}
	return files
}

// proxyFiles returns the files in the directories where a configuration of kube-proxy may be.
func (r *reader) proxyFiles() []string {
	var files []string
	for _, dir := range []string{
		"/etc/kubernetes", "/etc/kubernetes/config", "/etc/kubernetes/kube-proxy", "/etc/kube-proxy",
		"/var/lib/kube-proxy", "/var/lib/kube-proxy-config", "/opt/kubernetes/cfg",
	} {
		names, _ := r.tree.List(dir)
		for _, name := range names[:min(len(names), maxVolumeFiles)] {
			isConfig := slices.Contains([]string{".yaml", ".yml", ".conf", ".config", ".json", ""}, path.Ext(name))
			if isConfig && !strings.Contains(name, "kubeconfig") {
				files = append(files, path.Join(dir, name))
			}
		}
	}
	return files
}

// readProxyConfig returns the kube-proxy that a file configures, and whether it is one's configuration.
func (r *reader) readProxyConfig(file string) (proxy, bool) {
	info, err := r.tree.Stat(file)
	if err != nil || info.IsDir() {
		return proxy{}, false
	}
	text, ok := r.read(file)
	if !ok || !proxyKind.MatchString(text) && !strings.Contains(file, "kube-proxy") {
		return proxy{}, false
	}
	return r.parseProxyConfig(file, text)
}

// parseProxyConfig returns the kube-proxy that the KubeProxyConfiguration among the documents of a
// file configures. A key that is null or absent has its default.
func (r *reader) parseProxyConfig(file, text string) (proxy, bool) {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for range maxDocuments {
		var config struct {
			Kind, Mode string
			NFTables   yaml.Node `yaml:"nftables"`
			Conntrack  map[string]yaml.Node
		}
		err := decoder.Decode(&config)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.addTrouble(tree.Place{File: file}, errYAML)
			break
		}
		if config.Kind != "KubeProxyConfiguration" {
			continue
		}
		p := newProxy("kube-proxy", file)
		for _, o := range proxyOptions() {
			if value := config.Conntrack[o.key]; value.Kind == yaml.ScalarNode && value.ShortTag() != "!!null" {
				at := tree.Place{File: file, Line: value.Line}
				p.given[o.key] = pair{Place: at, name: "conntrack." + o.key, value: value.Value}
			}
		}
		isNew := config.Mode == "nftables" || !config.NFTables.IsZero()
		for _, key := range []string{"tcpBeLiberal", "udpTimeout", "udpStreamTimeout"} {
			_, there := config.Conntrack[key]
			isNew = isNew || there
		}
		if isNew { // all of these came with 1.29
			p.versions = versions{from: version(29, 0)}
		}
		return p, true
	}
	return proxy{}, false
}

// proxyStarters returns what starts a kube-proxy on the host itself: static pods, a unit, snaps.
func (r *reader) proxyStarters() []proxy {
	var found []proxy
	const manifests = "/etc/kubernetes/manifests"
	for _, name := range r.list(manifests) {
		file := path.Join(manifests, name)
		if text, ok := r.read(file); ok && strings.Contains(text, "kube-proxy") {
			if p, ok := r.parsePod(file, text); ok {
				found = append(found, p)
			}
		}
	}
	if p, ok := r.proxyUnit(); ok {
		found = append(found, p)
	}
	for _, snap := range []string{"kube-proxy", "microk8s"} {
		args := path.Join("/var/snap", snap, "current/args")
		if snap == "microk8s" {
			args += "/kube-proxy"
		}
		if text, ok := r.read(args); ok {
			p := newProxy("kube-proxy", args)
			p.findFlagLines(args, text)
			snap, _ := r.tree.Read(path.Join("/snap", snap, "current/meta/snap.yaml"), maxConfigMap)
			p.versions = findVersion(string(snap), snapVersion)
			found = append(found, p)
		}
	}
	return found
}

// parsePod returns the kube-proxy that a static pod runs, if it runs one.
func (r *reader) parsePod(file, text string) (proxy, bool) {
	var pod struct {
		Spec struct {
			Containers []struct {
				Name, Image   string
				Command, Args []yaml.Node
			}
		}
	}
	if err := yaml.Unmarshal([]byte(text), &pod); err != nil {
		r.addTrouble(tree.Place{File: file}, errYAML)
		return proxy{}, false
	}
	for _, c := range pod.Spec.Containers {
		p := newProxy("kube-proxy", file)
		p.versions = findVersion(c.Image, imageVersion)
		isProxy := c.Name == "kube-proxy" || strings.HasPrefix(path.Base(c.Image), "kube-proxy")
		for _, node := range append(c.Command, c.Args...) {
			words := strings.Fields(node.Value)
			isProxy = isProxy || slices.ContainsFunc(words, func(w string) bool { return path.Base(w) == "kube-proxy" })
			p.findFlags(placeWords(tree.Place{File: file, Line: node.Line}, words))
		}
		if isProxy {
			return p, true
		}
	}
	return proxy{}, false
}

// proxyUnit returns the kube-proxy that kube-proxy.service starts.
func (r *reader) proxyUnit() (proxy, bool) {
	units := r.loadUnits()
	u := units.byName["kube-proxy.service"]
	if u == nil || len(u.pairs) == 0 {
		return proxy{}, false
	}
	p := newProxy("kube-proxy", u.pairs[0].File)
	environment := map[string]pair{}
	for _, list := range u.pairs {
		switch list.name {
		case "Environment":
			for _, word := range splitExec(list.value) {
				name, value, _ := strings.Cut(word, "=")
				environment[name] = pair{Place: list.Place, value: value}
			}
		case "EnvironmentFile":
			maps.Copy(environment, r.shellPairs(strings.TrimPrefix(list.value, "-")))
		}
	}
	var words []pair
	for _, command := range u.commands() {
		for _, word := range strings.Fields(strings.Join(splitExec(command.value), " ")) {
			variable := environment[strings.Trim(word, "${}")]
			if strings.HasPrefix(word, "$") && variable.File != "" {
				words = append(words, placeWords(variable.Place, strings.Fields(variable.value))...)
			} else if command.name == "ExecStart" {
				words = append(words, pair{Place: command.Place, value: word})
			}
		}
	}
	p.findFlags(words)
	p.noEffect, p.doubt, _ = units.start(u)
	return p, true
}

// placeWords gives each word a place.
func placeWords(at tree.Place, words []string) []pair {
	var placed []pair
	for _, word := range words {
		placed = append(placed, pair{Place: at, value: word})
	}
	return placed
}

// environmentFlags returns the kube-proxies whose flags are in a file that a service may read, where no
// unit tells whether it does.
func (r *reader) environmentFlags(starters []proxy) []proxy {
	var found []proxy
	for _, file := range []string{"/etc/default/kube-proxy", "/etc/sysconfig/kube-proxy", "/etc/kubernetes/proxy"} {
		if slices.ContainsFunc(starters, func(p proxy) bool { return strings.HasSuffix(p.file, ".service") }) {
			continue
		}
		if info, err := r.tree.Stat(file); err != nil || info.IsDir() {
			continue
		}
		if text, ok := r.read(file); ok {
			p := newProxy("kube-proxy", file)
			p.findFlagLines(file, text)
			if p.config == "" {
				found = append(found, p)
			}
		}
	}
	return found
}

// findFlagLines finds flags of kube-proxy in the lines of a file of arguments or variables.
func (p *proxy) findFlagLines(file, text string) {
	for number, line := range joinedLines(text) {
		line = strings.NewReplacer(`"`, " ", "'", " ").Replace(line)
		p.findFlags(placeWords(tree.Place{File: file, Line: number}, strings.Fields(line)))
	}
}

// findFlags finds flags of kube-proxy among words: --FLAG=VALUE or --FLAG VALUE. A later one replaces
// an earlier one.
func (p *proxy) findFlags(words []pair) {
	for i, word := range words {
		text, next := strings.Trim(word.value, `"',`), ""
		if i+1 < len(words) {
			next = strings.Trim(words[i+1].value, `"',`)
		}
		if value, found := cutFlag(text, "config", next); found && strings.HasPrefix(text, "-") {
			p.config = value
		}
		for _, o := range proxyOptions() {
			if value, found := cutFlag(text, o.flag, next); found {
				p.given[o.key] = pair{Place: word.Place, name: o.flag, value: value}
			}
		}
	}
}

// cutFlag returns the value of a flag: that in --FLAG=VALUE or FLAG=VALUE, or the next word after
// --FLAG.
func cutFlag(word, flag, next string) (string, bool) {
	rest, found := strings.CutPrefix(strings.TrimLeft(word, "-"), flag)
	if value, assigned := strings.CutPrefix(rest, "="); found && assigned {
		return value, true
	}
	return next, found && rest == ""
}

var (
	imageVersion = pattern.New(`:v1\.(\d{1,3})\.(\d{1,3})`)
	snapVersion  = pattern.New(`(?m)^version: ['"]?v?1\.(\d{1,3})\.(\d{1,3})`)
	logVersion   = pattern.New(`"Version info" version="v1\.(\d{1,3})\.(\d{1,3})`)
)
