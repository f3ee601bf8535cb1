package owners

import (
	"maps"
	"slices"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// checkRecord returns one finding for each setting that another program set in this boot, as the daemon
// recorded.
func checkRecord(h *picture.Host) []finding.Finding {
	const most = 3 // writers of one setting
	var found []finding.Finding
	for _, name := range slices.Sorted(maps.Keys(h.Settings)) {
		writers := h.Writers(name)
		if len(writers) == 0 {
			continue
		}
		f := finding.Finding{
			ID: "drift-by", Severity: finding.Info, Summary: name + " was set by " + writers[0].Name(),
			Note: "ctkeeper recorded it. Configure that program.",
		}
		if s := sysfs.Lookup(name); s.Global {
			f.Note = "ctkeeper recorded it. Configure that program, or let guard: hold absorb its writes."
		}
		if len(writers) > 1 {
			f.Summary += " and by others"
		}
		for _, w := range writers[:min(len(writers), most)] {
			f.Evidence = append(f.Evidence, w.Evidence())
		}
		found = append(found, f)
	}
	return found
}
