package module

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkVermagic asks whether the file was built for the release that it lies under.
// A kernel with modversions compares the symbols in place of the release
// (same_magic of kernel/module/version.c).
func checkVermagic(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, k := range judgedKernels(h) {
		file := k.Files[kmod.Conntrack]
		built, flags, _ := strings.Cut(file.Info.Vermagic, " ")
		proof := h.Logged(picture.Containing("nf_conntrack: version magic", "nf_conntrack: disagrees about version"))
		if h.IsLoaded(kmod.Conntrack) {
			proof = nil // of a load before the one that succeeded
		}
		foreign := built != "" && built != k.Release && !slices.Contains(strings.Fields(flags), "modversions")
		if !foreign && (len(proof) == 0 || k.Release != h.Release) {
			continue
		}
		f := finding.Finding{
			ID: "module-wrong-kernel", Severity: severity(h), Fix: reinstall(h, k.Release),
			Summary:  "the file of nf_conntrack for kernel " + k.Release + " was built for another kernel",
			Evidence: append([]finding.Evidence{finding.Seen(file.Path, 0, "vermagic: "+strings.TrimSpace(file.Info.Vermagic))}, proof...),
		}
		if !strings.HasPrefix(file.Path, k.Index.Dir+"/kernel/") {
			f.Note = "it is not the distribution's own file, and a reinstallation of the kernel leaves it there: reinstall or remove what brought it"
		}
		found = append(found, f)
	}
	return found
}

// checkSignature asks whether the kernel demands a signature that the file does
// not have (module_sig_check of kernel/module/signing.c).
func checkSignature(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, k := range judgedKernels(h) {
		file := k.Files[kmod.Conntrack]
		proof := h.Logged(picture.Containing("Loading of unsigned module is rejected", "unsigned module loading is restricted", "Key was rejected by service",
			"Loading of module with unavailable key is rejected", "Loading of module with unsupported crypto is rejected"))
		if k.Release != h.Release || h.IsLoaded(kmod.Conntrack) {
			proof = nil // of another module, or of a time before
		}
		unsigned := file.Found && file.Err == nil && !file.Info.Signed && len(h.LoadPolicy.Enforced) > 0
		if !unsigned && (len(proof) == 0 || len(h.LoadPolicy.Enforced) == 0) {
			continue
		}
		f := finding.Finding{
			ID: "module-signature", Severity: severity(h), Fix: reinstall(h, k.Release), Evidence: slices.Concat(h.LoadPolicy.Enforced, proof),
			Summary: "the kernel takes modules with a valid signature alone, and refuses the file of nf_conntrack for " + k.Release,
			Note:    "where the kernel or the module is of your own making, sign the module with a key that this kernel trusts",
		}
		if unsigned {
			f.Evidence = append(f.Evidence, finding.Seen(file.Path, 0, "not signed"))
		}
		if h.LoadPolicy.SecureBoot {
			f.Evidence = append(f.Evidence, finding.Seen("/sys/firmware/efi/efivars", 0, "secure boot is on"))
		}
		found = append(found, f)
	}
	return found
}
