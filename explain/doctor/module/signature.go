package module

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkVermagic reports a file that was built for another release than the one in whose directory it is.
// A kernel with modversions compares symbols instead of the release (same_magic of
// kernel/module/version.c).
func checkVermagic(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, k := range checkedKernels(h) {
		file := k.Files[kmod.Conntrack]
		built, flags, _ := strings.Cut(file.Info.Vermagic, " ")
		var logged []finding.Evidence
		if !h.IsLoaded(kmod.Conntrack) { // else the messages are older than the load
			logged = h.Logged(picture.Containing("nf_conntrack: version magic",
				"nf_conntrack: disagrees about version"))
		}
		isForeign := built != "" && built != k.Release && !slices.Contains(strings.Fields(flags), "modversions")
		if !isForeign && (len(logged) == 0 || k.Release != h.Release) {
			continue
		}
		vermagic := finding.Seen(file.Path, 0, "vermagic: "+strings.TrimSpace(file.Info.Vermagic))
		f := finding.Finding{
			ID: "module-wrong-kernel", Severity: severity(h), Fix: reinstall(h, k.Release),
			Summary:  "the file of nf_conntrack for kernel " + k.Release + " was built for another kernel",
			Evidence: append([]finding.Evidence{vermagic}, logged...),
		}
		if !strings.HasPrefix(file.Path, k.Index.Dir+"/kernel/") {
			f.Note = "It is not the distribution's own file, and reinstalling the kernel does not replace it: " +
				"reinstall or remove the package that installed it."
		}
		found = append(found, f)
	}
	return found
}

// checkSignature reports a file without the signature that the kernel needs (module_sig_check of
// kernel/module/signing.c).
func checkSignature(h *picture.Host) []finding.Finding {
	var found []finding.Finding
	for _, k := range checkedKernels(h) {
		file := k.Files[kmod.Conntrack]
		var logged []finding.Evidence
		if k.Release == h.Release && !h.IsLoaded(kmod.Conntrack) { // else about another module, or older than the load
			logged = h.Logged(picture.Containing("Loading of unsigned module is rejected",
				"unsigned module loading is restricted", "Key was rejected by service",
				"Loading of module with unavailable key is rejected", "Loading of module with unsupported crypto is "+
					"rejected"))
		}
		isUnsigned := file.Found && file.Err == nil && !file.Info.Signed
		if len(h.LoadPolicy.Enforced) == 0 || !isUnsigned && len(logged) == 0 {
			continue
		}
		f := finding.Finding{
			ID: "module-signature", Severity: severity(h), Fix: reinstall(h, k.Release),
			Summary: "the kernel loads only modules with a valid signature, and refuses the file of nf_conntrack " +
				"for " + k.Release,
			Evidence: slices.Concat(h.LoadPolicy.Enforced, logged),
			Note: "Where you built the kernel or the module yourself, sign the module with a key that this " +
				"kernel trusts.",
		}
		if isUnsigned {
			f.Evidence = append(f.Evidence, finding.Seen(file.Path, 0, "not signed"))
		}
		if h.LoadPolicy.SecureBoot {
			f.Evidence = append(f.Evidence, finding.Seen("/sys/firmware/efi/efivars", 0, "secure boot is on"))
		}
		found = append(found, f)
	}
	return found
}
