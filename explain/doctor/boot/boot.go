package boot

import (
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return h.Run(checkConfigured, checkKept, checkFiles, checkBootFiles, checkParameters)
}

// checkParameters reports load-time parameters of the loaded module that are not as configured. Only a
// reload of the module changes them.
func checkParameters(h *picture.Host) []finding.Finding {
	if h.Config == nil || h.Module.State != kmod.Loaded {
		return nil
	}
	f := finding.Finding{ID: "load-parameter-differs", Severity: finding.Warning}
	var differences []string
	for _, p := range h.Config.Module.Parameters {
		if p.Name != sysfs.ExpectHashsize && p.Name != "enable_hooks" {
			continue // the others can be set at run time
		}
		live := h.Parameters[p.Name]
		if live == "" || sysfs.IsSameParameter(p.Name, live, p.Value) {
			continue
		}
		differences = append(differences, fmt.Sprintf("%s is %s, ctkeeper wants %s", p.Name, live, p.Value))
		f.Evidence = append(f.Evidence,
			finding.Seen("/sys/module/"+kmod.Conntrack+"/parameters/"+p.Name, 0, live),
			finding.At(p.Origin, p.Name+": "+p.Value))
	}
	if len(differences) == 0 {
		return nil
	}
	f.Summary = "the module is loaded with other parameters, which only a reload changes: " +
		strings.Join(differences, ", ")
	users := kmod.Users(h.Modules, kmod.Conntrack)
	if len(users) > 0 {
		f.Evidence = append(f.Evidence, finding.Seen(picture.ModulesFile, 0,
			"nf_conntrack is used by "+strings.Join(users, ", ")))
	}
	remove := "modprobe -r " + strings.Join(append(users, kmod.Conntrack), " ")
	f.Note = "The next boot applies them. To apply them now: stop the firewall, " + remove +
		", start the firewall. Every tracked connection is lost."
	return []finding.Finding{f}
}
