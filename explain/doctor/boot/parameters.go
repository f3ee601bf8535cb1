package boot

import (
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkLoadParameters are the load-time parameters that the loaded module does not have
// as the configuration asks: only a reload brings them.
func checkLoadParameters(h *picture.Host) []finding.Finding {
	if h.Config == nil || h.Module.State != kmod.Loaded {
		return nil
	}
	f := finding.Finding{ID: "load-parameter-differs", Severity: finding.Warning}
	var names []string
	for _, p := range h.Config.Module.Parameters {
		if p.Name != picture.ExpectHashsize && p.Name != "enable_hooks" {
			continue // the others can be set at run time
		}
		file := "/sys/module/" + kmod.Conntrack + "/parameters/" + p.Name
		live, err := kmod.ParameterValue(h.Tree, kmod.Conntrack, p.Name)
		if err != nil || picture.IsSameParameter(p.Name, live, p.Value) {
			continue
		}
		names = append(names, fmt.Sprintf("%s is %s, the configuration asks for %s", p.Name, live, p.Value))
		f.Evidence = append(f.Evidence, finding.Seen(file, 0, live), finding.At(p.Origin, p.Name+": "+p.Value))
	}
	if len(names) == 0 {
		return nil
	}
	f.Summary = "the module is loaded with other parameters, which only a reload changes: " + strings.Join(names, ", ")
	users := kmod.Users(h.Modules, kmod.Conntrack)
	if len(users) > 0 {
		f.Evidence = append(f.Evidence, finding.Seen("/proc/modules", 0, "nf_conntrack is used by "+strings.Join(users, ", ")))
	}
	remove := "modprobe -r " + strings.Join(append(users, kmod.Conntrack), " ")
	f.Note = "The next boot brings them. Sooner: stop the firewall, " + remove + ", start the firewall; every tracked connection is forgotten."
	return []finding.Finding{f}
}
