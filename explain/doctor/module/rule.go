package module

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkRuleModules asks for the modules that rules about connections need: xt_conntrack and
// xt_state of iptables, nft_ct of nftables, and whatever else this host's rules
// name. Without one a rule fails, and mostly the whole rule set with it.
func checkRuleModules(h *picture.Host) []finding.Finding {
	names := []string{"nft_ct", "xt_conntrack", "xt_state"}
	for name := range h.Rules.Modules {
		names = append(names, name)
	}
	slices.Sort(names)
	var found []finding.Finding
	for _, name := range slices.Compact(names) {
		if name == kmod.Conntrack || h.IsLoaded(name) {
			continue
		}
		if f, barred := ruleBlocked(h, name); barred {
			found = append(found, f)
			continue
		}
		for _, k := range judgedKernels(h) {
			if f, missing := ruleMissing(h, k, name); missing {
				found = append(found, f)
			}
		}
	}
	return found
}

// needOf is the evidence and the severity of a module that a rule asks for, or that
// none does.
func needOf(h *picture.Host, name string) (finding.Severity, []finding.Evidence) {
	if place, needed := h.Rules.Modules[name]; needed {
		return finding.Error, []finding.Evidence{finding.At(place, "a rule that needs "+name)}
	}
	return finding.Info, nil
}

func ruleBlocked(h *picture.Host, name string) (finding.Finding, bool) {
	b := findBlock(h, name)
	if len(b.refused) == 0 && len(b.installs) == 0 { // blacklists do not keep rules from loading it by its name
		return finding.Finding{}, false
	}
	severity, evidence := needOf(h, name)
	return finding.Finding{
		ID: "rule-module-blacklisted", Severity: severity, Evidence: append(evidence, b.evidence()...),
		Summary: name + " is kept out, and every rule that needs it fails",
		Fix:     b.fix(h, name, "modprobe "+shell.Quote(name)),
	}, true
}

func ruleMissing(h *picture.Host, k picture.Kernel, name string) (finding.Finding, bool) {
	severity, evidence := needOf(h, name)
	file := k.Files[name]
	needs := slices.DeleteFunc(k.Missing(k.Dependencies(name)), func(other string) bool {
		// These have findings of their own.
		return other == kmod.Conntrack || slices.Contains(k.Dependencies(kmod.Conntrack), other)
	})
	switch {
	case file.Found && errors.Is(file.Err, fs.ErrPermission), k.Index.BuiltIn[name], h.IsBuiltIn() && severity == finding.Info,
		!file.Listed && severity == finding.Info: // a kernel without it, and nobody asks
		return finding.Finding{}, false
	case !file.Found && file.Listed:
		evidence = append(evidence, finding.Seen(file.Path, 0, "not there"))
	case !file.Found:
		evidence = append(evidence, finding.Seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name))
	case len(needs) > 0:
		evidence = append(evidence, finding.Seen(file.Path, 0, "needs "+strings.Join(needs, ", ")+", which is not there"))
	default:
		return finding.Finding{}, false
	}
	again := h.Distro.ReinstallKernel(k.Release)
	if extra := h.Distro.ReinstallExtraModules(k.Release); extra != "" && !file.Found && !file.Listed {
		again = extra
	}
	fix := []string{again, "depmod -a " + shell.Quote(k.Release)}
	if k.Release == h.Release {
		fix = append(fix, "modprobe "+shell.Quote(name))
	}
	return finding.Finding{
		ID: "rule-module-missing", Severity: severity, Evidence: evidence,
		Summary: "kernel " + k.Release + " cannot load " + name + ", and every rule that needs it fails",
		Fix:     slices.DeleteFunc(fix, func(command string) bool { return command == "" }),
	}, true
}
