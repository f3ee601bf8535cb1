package module

import (
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkSoftDependencies tells of modules that modprobe would load along with nf_conntrack
// and cannot: they are optional (modprobe.d(5), softdep), and keep nothing out.
func checkSoftDependencies(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	var found []finding.Finding
	for _, k := range judgedKernels(h) {
		f := finding.Finding{ID: "softdep-missing", Severity: finding.Info}
		var names []string
		for _, module := range append(k.Dependencies(kmod.Conntrack), kmod.Conntrack) {
			for _, line := range softdeps(h, k, module) {
				for _, name := range softNames(line.Text) {
					evidence := findBlock(h, name).evidence()
					// By an alias a dependency of the distribution's own may have another name.
					if len(evidence) == 0 && module == kmod.Conntrack && k.Index.Path(name) == "" && !k.Index.BuiltIn[name] {
						evidence = []finding.Evidence{finding.Seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name)}
					}
					if len(evidence) > 0 {
						names = append(names, name)
						f.Evidence = append(append(f.Evidence, line), evidence...)
					}
				}
			}
		}
		if len(names) > 0 {
			f.Summary = fmt.Sprintf("nf_conntrack is loaded without %s, a soft dependency: that keeps nothing out", strings.Join(finding.Unique(names), ", "))
			found = append(found, f)
		}
	}
	return found
}

// softdeps are the lines that name a module's soft dependencies: of modprobe.d, and
// of the modules' own files.
func softdeps(h *picture.Host, k picture.Kernel, module string) []finding.Evidence {
	var lines []finding.Evidence
	for _, d := range h.Inventory.Modprobe.Find("softdep", module) {
		lines = append(lines, finding.At(d.Place, "softdep "+d.Module+" "+d.Args))
	}
	if list := k.Index.Softdeps[module]; list != "" {
		lines = append(lines, finding.At(tree.Place{File: k.Index.Dir + "/modules.softdep"}, "softdep "+module+" "+list))
	}
	return lines
}

// softNames are the modules of "softdep NAME pre: a b post: c".
func softNames(line string) []string {
	var names []string
	for _, word := range strings.Fields(line)[2:] {
		if !strings.HasSuffix(word, ":") {
			names = append(names, strings.ReplaceAll(word, "-", "_"))
		}
	}
	return names
}
