package module

import (
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// isShortOfMemory matches what the kernel logs when a module's memory cannot be allocated (warn_alloc of
// mm/page_alloc.c). The name in the message is that of the program that loads the module.
func isShortOfMemory(message string) bool {
	isLoader := picture.Containing("modprobe: ", "systemd-modules: ", "insmod: ", "(udev-worker): ", "systemd-udevd: ")
	isFailure := picture.Containing("page allocation failure", "vmalloc error", "vmalloc: allocation failure")
	return isLoader(message) && isFailure(message)
}

// checkMemory reports that the kernel had no memory for the module, although no parameter is wrong.
func checkMemory(h *picture.Host) []finding.Finding {
	logged := h.Logged(isShortOfMemory)
	if h.Module.State != kmod.Absent || len(logged) == 0 || len(checkParameters(h)) > 0 {
		return nil
	}
	f := finding.Finding{
		ID: "module-no-memory", Severity: severity(h), Evidence: logged,
		Summary: "the kernel had no memory to load a module",
		Fix:     []finding.Step{change.WriteFile("/proc/sys/vm/compact_memory", "1"), fixes.LoadModule()},
		Note: "The hash table is one piece of memory with 8 bytes a bucket: " +
			"load the module early at boot, or configure a smaller hashsize.",
	}
	for _, o := range options(h) {
		if parameterKinds()[o.Name] == "uint" {
			f.Evidence = append(f.Evidence, finding.At(o.Place, format(o)))
		}
	}
	return []finding.Finding{f}
}
