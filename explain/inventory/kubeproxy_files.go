package inventory

import (
	"cmp"
	"errors"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxDocuments limits the documents of one YAML file.
const maxDocuments = 100

// proxyKind matches what makes a file kube-proxy's.
var proxyKind = regexp.MustCompile(`\bkind["']?\s*:\s*["']?KubeProxyConfiguration\b`)

// podConfigs returns the configurations of kube-proxy in the ConfigMap volumes of the pods of this
// node. What makes a file kube-proxy's is its kind: kubeadm calls it kube-proxy/config.conf, EKS
// config/config, OpenShift config/kube-proxy-config.yaml. Other applications' files are passed over
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
		p := proxy{tool: "kube-proxy", file: file, given: map[string]pair{}}
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
			p := proxy{tool: "kube-proxy", file: args, given: map[string]pair{}}
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
		p := proxy{tool: "kube-proxy", file: file, given: map[string]pair{}}
		p.versions = findVersion(c.Image, imageVersion)
		isProxy := c.Name == "kube-proxy" || strings.HasPrefix(path.Base(c.Image), "kube-proxy")
		for _, node := range append(c.Command, c.Args...) {
			words := strings.Fields(node.Value)
			isProxy = isProxy || slices.ContainsFunc(words, func(w string) bool { return path.Base(w) == "kube-proxy" })
			p.findFlags(file, node.Line, words)
		}
		if isProxy {
			return p, true
		}
	}
	return proxy{}, false
}

// proxyUnit returns the kube-proxy that kube-proxy.service starts, with its drop-ins and the files
// that set its environment.
func (r *reader) proxyUnit() (proxy, bool) {
	const service = "kube-proxy"
	files := r.unitFiles(service)
	if len(files) == 0 {
		return proxy{}, false
	}
	p := proxy{tool: "kube-proxy", file: files[0], given: map[string]pair{}}
	environment := proxy{given: map[string]pair{}}
	for _, file := range files {
		r.addUnit(file, &p, &environment)
	}
	maps.Copy(p.given, environment.given) // it usually comes last on the command line
	p.config = cmp.Or(p.config, environment.config)
	if !r.isEnabled(service) {
		p.noEffect = service + ".service is not enabled"
	}
	return p, true
}

// addUnit adds the flags in the commands of a unit or drop-in, and those in its environment. An empty
// ExecStart= drops the commands before it.
func (r *reader) addUnit(file string, command, environment *proxy) {
	text, _ := r.read(file)
	for number, line := range joinedLines(text) {
		key, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(key) {
		case "ExecStart":
			if strings.TrimSpace(value) == "" {
				clear(command.given)
				command.config = ""
			}
			command.findFlags(file, number, strings.Fields(value))
		case "Environment":
			environment.findFlags(file, number, strings.Fields(strings.Map(withoutQuotes, value)))
		case "EnvironmentFile":
			from := strings.TrimPrefix(strings.TrimSpace(value), "-")
			if text, ok := r.read(from); ok {
				environment.findFlagLines(from, text)
			}
		}
	}
}

// unitFiles returns the file of a unit and its drop-ins.
func (r *reader) unitFiles(service string) []string {
	for _, dir := range []string{
		"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
		"/usr/lib/systemd/system", "/lib/systemd/system",
	} {
		file := path.Join(dir, service+".service")
		if r.tree.Exists(file) && !r.tree.IsNull(file) {
			var dirs []string
			for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
				dirs = append(dirs, dir+"/systemd/system/"+service+".service.d")
			}
			files := []string{file}
			for _, f := range r.dropins(".conf", dirs...) {
				if f.HiddenBy == "" {
					files = append(files, f.Path)
				}
			}
			return files
		}
	}
	return nil
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
			p := proxy{tool: "kube-proxy", file: file, given: map[string]pair{}}
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
		p.findFlags(file, number, strings.Fields(strings.Map(withoutQuotes, line)))
	}
}

// withoutQuotes replaces a quote by a space.
func withoutQuotes(c rune) rune {
	if c == '"' || c == '\'' {
		return ' '
	}
	return c
}

// findFlags finds flags of kube-proxy among words: --FLAG=VALUE or --FLAG VALUE. A later one replaces
// an earlier one.
func (p *proxy) findFlags(file string, line int, words []string) {
	for i, word := range words {
		word = strings.Trim(word, `"',`)
		rest := ""
		if i+1 < len(words) {
			rest = strings.Trim(words[i+1], `"',`)
		}
		if value, found := cutFlag(word, "config", rest); found && strings.HasPrefix(word, "-") {
			p.config = value
		}
		for _, o := range proxyOptions() {
			if value, found := cutFlag(word, o.flag, rest); found {
				p.given[o.key] = pair{Place: tree.Place{File: file, Line: line}, name: o.flag, value: value}
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
	imageVersion = regexp.MustCompile(`:v1\.(\d{1,3})\.(\d{1,3})`)
	snapVersion  = regexp.MustCompile(`(?m)^version: ['"]?v?1\.(\d{1,3})\.(\d{1,3})`)
	logVersion   = regexp.MustCompile(`"Version info" version="v1\.(\d{1,3})\.(\d{1,3})`)
)
