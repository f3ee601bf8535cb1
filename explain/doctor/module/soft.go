package module

import (
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkSoftDependencies reports modules that modprobe would load together with nf_conntrack and cannot.
// They are optional and block nothing (modprobe.d(5), softdep).
func checkSoftDependencies(h *picture.Host) []finding.Finding {
	if h.IsBuiltIn() {
		return nil
	}
	var found []finding.Finding
	for _, k := range checkedKernels(h) {
		f := finding.Finding{ID: "softdep-missing", Severity: finding.Info}
		var names []string
		for _, module := range append(k.Dependencies(kmod.Conntrack), kmod.Conntrack) {
			for _, line := range softdepLines(h, k, module) {
				for _, name := range softdepNames(line.Text) {
					if evidence := softdepBlocks(h, k, module, name); len(evidence) > 0 {
						names = append(names, name)
						f.Evidence = append(append(f.Evidence, line), evidence...)
					}
				}
			}
		}
		if len(names) > 0 {
			list := strings.Join(finding.Unique(names), ", ")
			f.Summary = fmt.Sprintf("nf_conntrack is loaded without %s, an optional soft dependency", list)
			found = append(found, f)
		}
	}
	return found
}

// softdepBlocks returns what keeps modprobe from loading a soft dependency of a module. Only for
// nf_conntrack a missing file counts: by an alias, a dependency of the distribution can have another
// name.
func softdepBlocks(h *picture.Host, k picture.Kernel, module, name string) []finding.Evidence {
	evidence := findBlocks(h, name).evidence()
	if len(evidence) == 0 && module == kmod.Conntrack && k.Index.Path(name) == "" && !k.Index.BuiltIn[name] {
		return []finding.Evidence{finding.Seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name)}
	}
	return evidence
}

// softdepLines returns the lines that name a module's soft dependencies: in modprobe.d, and in the
// modules' own files.
func softdepLines(h *picture.Host, k picture.Kernel, module string) []finding.Evidence {
	var lines []finding.Evidence
	for _, d := range h.Inventory.Modprobe.Find("softdep", module) {
		lines = append(lines, picture.DirectiveEvidence(d))
	}
	if list := k.Index.Softdeps[module]; list != "" {
		lines = append(lines, finding.Seen(k.Index.Dir+"/modules.softdep", 0, "softdep "+module+" "+list))
	}
	return lines
}

// softdepNames returns the modules of "softdep NAME pre: a b post: c".
func softdepNames(line string) []string {
	var names []string
	for _, word := range strings.Fields(line)[2:] {
		if !strings.HasSuffix(word, ":") {
			names = append(names, kmod.NormalizeName(word))
		}
	}
	return names
}
