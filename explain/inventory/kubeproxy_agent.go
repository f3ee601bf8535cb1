package inventory

import (
	"maps"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/pattern"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// agentArgument is the option of k3s and rke2 that passes a flag to kube-proxy, without its dashes.
const agentArgument = "kube-proxy-arg"

// agent is k3s or rke2 on this node.
type agent struct {
	proxy
	services []string
	// options are those of its configuration files, by key, with the command line after them.
	options map[string][]pair
}

// readAgents reads k3s and rke2. Both set max and the two TCP timeouts themselves when they start, by
// the arguments that they are given for kube-proxy or by its defaults (getConntrackConfig and
// syssetup.Configure of k3s, since 1.21.1); for the kube-proxy that they run, 0 is the default of the
// three (kubeProxyArgs).
func (r *reader) readAgents(processes []proxy, anyProcess bool) {
	for _, name := range []string{"k3s", "rke2"} {
		a := agent{
			proxy:    newProxy(name, ""),
			services: []string{name, name + "-server", name + "-agent"}, options: map[string][]pair{},
		}
		runs := slices.ContainsFunc(processes, func(p proxy) bool { return p.tool == name })
		if a.read(r, runs) {
			if anyProcess && !runs && a.doubt == "" {
				a.doubt = "no " + name + " runs now"
			}
			r.addAgent(a)
		}
	}
}

// read reads the agent's files, and reports whether there are any.
func (a *agent) read(r *reader, runs bool) bool {
	command := a.readUnits(r)
	config := path.Join("/etc/rancher", a.tool, "config.yaml")
	for _, name := range []string{"config", "c"} {
		if given := command[name]; len(given) > 0 {
			config = given[len(given)-1].value
		}
	}
	names, _ := r.tree.List(config + ".d")
	files := []string{config}
	for _, name := range names[:min(len(names), maxIncludes)] {
		if ext := strings.ToLower(path.Ext(name)); ext == ".yaml" || ext == ".yml" {
			files = append(files, path.Join(config+".d", name))
		}
	}
	unit := a.file
	a.file = ""
	for _, file := range files {
		if text, ok := r.read(file); ok {
			if a.file == "" {
				a.file = file
			}
			a.readConfig(r, file, text)
		}
	}
	switch {
	case a.file == "" && unit == "":
		return false
	case a.file == "":
		a.file = unit
	}
	switch {
	case runs:
		a.noEffect, a.doubt = "", ""
	case unit == "" && !slices.ContainsFunc(a.programs(), r.tree.Exists):
		a.doubt = "nothing was found that starts " + a.tool
	}
	for key, pairs := range command {
		a.options[key] = append(a.options[key], pairs...)
	}
	for _, argument := range a.options[agentArgument] {
		for _, o := range proxyOptions() {
			if value, found := cutFlag(argument.value, o.flag, ""); found {
				a.given[o.key] = pair{Place: argument.Place, name: o.flag, value: value}
			}
		}
	}
	return true
}

// programs are where the agent's program or init script is installed.
func (a *agent) programs() []string {
	return []string{
		"/usr/local/bin/" + a.tool, "/usr/bin/" + a.tool, "/opt/" + a.tool + "/bin/" + a.tool,
		"/etc/init.d/" + a.tool, "/etc/init.d/" + a.tool + "-agent",
	}
}

// readUnits returns the options on the command line of the agent's service. One that starts counts more
// than one that does not: rke2 installs both.
func (a *agent) readUnits(r *reader) (command map[string][]pair) {
	units := r.loadUnits()
	for _, service := range a.services {
		u := units.byName[service+".service"]
		if u == nil || len(u.pairs) == 0 || a.file != "" && a.noEffect == "" {
			continue
		}
		a.file, command = u.pairs[0].File, map[string][]pair{}
		a.noEffect, a.doubt, _ = units.start(u)
		for _, p := range u.commands() {
			if p.name == "ExecStart" {
				addOptions(command, p.Place, splitExec(p.value))
			}
		}
	}
	return command
}

// addOptions adds the options --KEY=VALUE and --KEY VALUE of a command line.
func addOptions(options map[string][]pair, at tree.Place, words []string) {
	for i, word := range words {
		if !strings.HasPrefix(word, "-") {
			continue
		}
		key, value, assigned := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if !assigned && i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
			value = words[i+1]
		}
		options[key] = append(options[key], pair{Place: at, name: key, value: value})
	}
}

// readConfig reads one configuration file. A key replaces that of an earlier file; KEY+ is added to it
// (readConfigFile in k3s' pkg/configfilearg).
func (a *agent) readConfig(r *reader, file, text string) {
	var config map[string]yaml.Node
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		r.addTrouble(tree.Place{File: file}, errYAML)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		node := config[key]
		key, adds := strings.CutSuffix(key, "+")
		var pairs []pair
		for _, item := range append(node.Content, &node) {
			if item.Kind == yaml.ScalarNode {
				at := tree.Place{File: file, Line: item.Line}
				pairs = append(pairs, pair{Place: at, name: key, value: item.Value})
			}
		}
		if adds {
			pairs = append(a.options[key], pairs...)
		}
		a.options[key] = pairs
	}
}

// isOn reports whether an option without a value, or a bool, is on.
func (a *agent) isOn(key string) bool {
	given := a.options[key]
	return len(given) > 0 && given[len(given)-1].value != "false"
}

var agentVersion = pattern.New(`(?m)^v1\.(\d{1,3})\.(\d{1,3})`)

// addAgent adds what k3s or rke2 sets itself, and what its kube-proxy sets after that.
func (r *reader) addAgent(a agent) {
	if a.isOn("rootless") || a.isOn("disable-agent") {
		return
	}
	p := a.proxy
	disabled := a.isOn("disable-kube-proxy")
	if disabled && p.doubt == "" {
		p.doubt = "kube-proxy is disabled, but " + a.tool + " since 1.21.1 sets its values all the same"
	}
	names, _ := r.tree.List(path.Join("/var/lib/rancher", a.tool, "data"))
	p.versions = findVersion(strings.Join(names, "\n"), agentVersion).and(r.proxyVersions())
	// Without the argument k3s passes 0 to kube-proxy, which then sets neither max nor hashsize.
	p.setsAlone = disabled || p.given["maxPerCore"].value == ""
	r.addMax(p)
	for i, o := range proxyOptions()[2:] {
		given := p.option(o)
		value, ok := proxyValue(given.value)
		raises := no
		if i >= 2 {
			raises = p.versions.do(raiseSteps())
		}
		switch {
		case !ok:
			r.addTrouble(given.Place, errDuration)
		case i < 2 || !disabled:
			r.addProxyValue(p, given, o.setting, value, raises, o.kernelValue)
		}
	}
}
