package fixes

import (
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// RemoveSysctl returns what sets a sysctl to a bad value at boot, and the steps that remove it.
func RemoveSysctl(h *picture.Host, name string, isBad func(value string) bool) ([]finding.Evidence, []finding.Step) {
	var evidence []finding.Evidence
	var places []tree.Place
	for _, o := range h.Inventory.ToolOptions {
		if o.Name == name && isBad(o.Value) {
			evidence, places = append(evidence, finding.At(o.Place, o.Name+" = "+o.Value)), append(places, o.Place)
		}
	}
	fix := CommentOut(h, places...)
	argument := "sysctl." + name
	if value, found := h.CommandLine.Value(argument); found && isBad(value) {
		word := argument + "=" + value
		evidence = append(evidence, finding.Seen(picture.CommandLineFile, 0, word))
		fix = append(fix, h.Boot.Change([]string{word}, nil)...)
	}
	return evidence, fix
}
