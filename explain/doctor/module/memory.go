package module

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// isShortOfMemory matches what the kernel says when a module's memory cannot be had
// (warn_alloc of mm/page_alloc.c): the name is that of the program that loads.
func isShortOfMemory(message string) bool {
	loader := slices.ContainsFunc([]string{"modprobe: ", "systemd-modules: ", "insmod: ", "(udev-worker): ", "systemd-udevd: "}, func(name string) bool {
		return strings.Contains(message, name)
	})
	return loader && slices.ContainsFunc([]string{"page allocation failure", "vmalloc error", "vmalloc: allocation failure"}, func(text string) bool {
		return strings.Contains(message, text)
	})
}

// checkMemory asks whether the kernel had no memory for the module: with a hash size
// that is no parameter's fault.
func checkMemory(h *picture.Host) []finding.Finding {
	proof := h.Logged(isShortOfMemory)
	if h.Module.State != kmod.Absent || len(proof) == 0 || len(checkParameters(h)) > 0 {
		return nil
	}
	f := finding.Finding{
		ID: "module-no-memory", Severity: severity(h), Evidence: proof, Fix: []string{"echo 1 > /proc/sys/vm/compact_memory", fixes.LoadModule},
		Summary: "the kernel had no memory for a module when it was to be loaded",
		Note:    "the hash table is one piece of memory of 8 bytes a bucket: load the module early at boot, or ask for a smaller hashsize",
	}
	for _, o := range options(h) {
		if parameterKinds()[o.Name] == "uint" {
			f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)))
		}
	}
	return []finding.Finding{f}
}
