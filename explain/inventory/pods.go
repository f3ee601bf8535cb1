package inventory

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/ctkeeper/ctkeeper/host/process"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TuningPlugin is the Tool of a PodSysctl that the CNI plugin tuning writes.
const TuningPlugin = "the CNI plugin tuning"

const (
	// maxPodFiles limits the files of a directory with the configuration of pods.
	maxPodFiles = 100
	// maxTOML, maxOpened and maxDots limit a TOML file in bytes, in brackets and braces that it opens, and in dots of
	// a line. CRI-O's own file has 30 KB and about 100 brackets. The parser is slow at what nests: 64 KB of one inline
	// table in another take minutes.
	maxTOML   = 128 << 10
	maxOpened = 500
	maxDots   = 500
)

// PodSysctl is a sysctl that a container runtime, or a plugin of its network, writes into the network namespace of each
// pod. It sets no value of the host.
type PodSysctl struct {
	tree.Place
	// Tool is CRI-O or TuningPlugin.
	Tool string
	// Name is the setting's name in the catalogue; Key and Value are as written.
	Name, Key, Value string
	// Running is true if a process shows that the file is in use.
	Running bool
}

// readPods reads the sysctls that CRI-O and the CNI plugin tuning write into the network namespaces of pods.
func (r *reader) readPods() {
	var programs []string
	for _, p := range process.List(r.tree) {
		programs = append(programs, strings.TrimSpace(p.Program()))
	}
	isCRIO := slices.Contains(programs, "crio")
	r.readCRIO(isCRIO)
	r.readTuning(isCRIO || slices.Contains(programs, "containerd"))
}

// readCRIO reads default_sysctls of crio.conf(5): crio.conf, then every file of crio.conf.d by name. A later list
// replaces an earlier one.
func (r *reader) readCRIO(running bool) {
	files := []string{"/etc/crio/crio.conf"}
	const dropins = "/etc/crio/crio.conf.d"
	names := r.list(dropins)
	for _, name := range names[:min(len(names), maxPodFiles)] {
		files = append(files, path.Join(dropins, name))
	}
	var last []PodSysctl
	for _, file := range files {
		text, found := r.read(file)
		if !found || !strings.Contains(text, "default_sysctls") {
			continue
		}
		var config struct {
			CRIO struct {
				Runtime struct {
					Sysctls *[]string `toml:"default_sysctls"`
				} `toml:"runtime"`
			} `toml:"crio"`
		}
		if isTooComplex(text) || toml.Unmarshal([]byte(text), &config) != nil {
			r.addTrouble(tree.Place{File: file}, errTOML)
			continue
		}
		r.markUnderstood(tree.Place{File: file})
		if config.CRIO.Runtime.Sysctls == nil {
			continue
		}
		last = nil
		for _, entry := range *config.CRIO.Runtime.Sysctls {
			key, value, _ := strings.Cut(entry, "=")
			last = append(last, PodSysctl{Place: placeOf(file, text, entry), Tool: "CRI-O", Key: key, Value: value,
				Running: running})
		}
	}
	r.addPodSysctls(last)
}

// isTooComplex reports whether a TOML text exceeds a limit.
func isTooComplex(text string) bool {
	for line := range strings.Lines(text) {
		if strings.Count(line, ".") > maxDots {
			return true
		}
	}
	return len(text) > maxTOML || strings.Count(text, "[")+strings.Count(text, "{") > maxOpened
}

// readTuning reads the sysctls of the plugin tuning in the first network configuration of /etc/cni/net.d by name, which
// is the one that CRI-O and containerd use.
func (r *reader) readTuning(running bool) {
	const dir = "/etc/cni/net.d"
	names := slices.DeleteFunc(r.list(dir), func(name string) bool { // ConfFiles of libcni
		return !slices.Contains([]string{".conf", ".conflist", ".json"}, path.Ext(name))
	})
	for i, name := range names[:min(len(names), maxPodFiles)] {
		file := path.Join(dir, name)
		text, _ := r.read(file)
		var network struct {
			cniPlugin
			Plugins []cniPlugin
		}
		if json.Unmarshal([]byte(text), &network) != nil {
			return // which network the runtime uses is not known then
		}
		r.markUnderstood(tree.Place{File: file})
		if i == 0 {
			r.addTuning(file, text, append(network.Plugins, network.cniPlugin), running)
		}
	}
}

// cniPlugin is the part of a plugin's configuration that the plugin tuning has.
type cniPlugin struct {
	Type   string
	Sysctl map[string]string
}

// addTuning adds the sysctls of the plugins that are tuning.
func (r *reader) addTuning(file, text string, plugins []cniPlugin, running bool) {
	var all []PodSysctl
	for _, p := range plugins {
		for key, value := range p.Sysctl {
			if p.Type == "tuning" {
				all = append(all, PodSysctl{Place: placeOf(file, text, key), Tool: TuningPlugin, Key: key,
					Value: value, Running: running})
			}
		}
	}
	slices.SortFunc(all, func(a, b PodSysctl) int { return strings.Compare(a.Key, b.Key) })
	r.addPodSysctls(all)
}

// addPodSysctls adds those that are settings of the catalogue.
func (r *reader) addPodSysctls(all []PodSysctl) {
	for _, p := range all {
		s := sysfs.Lookup(strings.TrimSpace(p.Key))
		if s == nil || s.Kind == sysfs.Text || len(r.inv.PodSysctls) == maxAssignments {
			continue
		}
		p.Name, p.Value = s.Name, strings.TrimSpace(p.Value)
		r.inv.PodSysctls = append(r.inv.PodSysctls, p)
	}
}

// placeOf returns the first line of a text that has an entry; the file alone where the line writes it otherwise.
func placeOf(file, text, entry string) tree.Place {
	for number, line := range numbered(text) {
		if strings.Contains(line, `"`+entry+`"`) || strings.Contains(line, "'"+entry+"'") {
			return tree.Place{File: file, Line: number}
		}
	}
	return tree.Place{File: file}
}
