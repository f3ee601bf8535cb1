package doctor

import (
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// softDependencies tells of modules that modprobe would load along with nf_conntrack
// and cannot: they are optional (modprobe.d(5), softdep), and keep nothing out.
func softDependencies(h *Host) []Finding {
	if h.inImage() {
		return nil
	}
	var found []Finding
	for _, k := range h.judged() {
		f := Finding{ID: "softdep-missing", Severity: Info}
		var names []string
		for _, module := range append(k.dependencies(kmod.Conntrack), kmod.Conntrack) {
			for _, line := range h.softdeps(k, module) {
				for _, name := range softNames(line.Text) {
					evidence := h.bars(name).evidence()
					// By an alias a dependency of the distribution's own may have another name.
					if len(evidence) == 0 && module == kmod.Conntrack && k.Index.Path(name) == "" && !k.Index.BuiltIn[name] {
						evidence = []Evidence{seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name)}
					}
					if len(evidence) > 0 {
						names = append(names, name)
						f.Evidence = append(append(f.Evidence, line), evidence...)
					}
				}
			}
		}
		if len(names) > 0 {
			f.Summary = fmt.Sprintf("nf_conntrack is loaded without %s, a soft dependency: that keeps nothing out", strings.Join(unique(names), ", "))
			found = append(found, f)
		}
	}
	return found
}

// softdeps are the lines that name a module's soft dependencies: of modprobe.d, and
// of the modules' own files.
func (h *Host) softdeps(k Kernel, module string) []Evidence {
	var lines []Evidence
	for _, d := range h.Inventory.Modprobe.Of("softdep", module) {
		lines = append(lines, Evidence{d.Place, "softdep " + d.Module + " " + d.Args})
	}
	if list := k.Index.Softdeps[module]; list != "" {
		lines = append(lines, Evidence{tree.Place{File: k.Index.Dir + "/modules.softdep"}, "softdep " + module + " " + list})
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
