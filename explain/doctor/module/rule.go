package module

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// checkRuleModules reports modules that firewall rules need and the kernel cannot load: xt_conntrack and
// xt_state of iptables, nft_ct of nftables, and those that this host's rules name. Without the module
// the rule fails, and with most firewalls the whole rule set.
func checkRuleModules(h *picture.Host) []finding.Finding {
	names := append([]string{"nft_ct", "xt_conntrack", "xt_state"}, slices.Collect(maps.Keys(h.Rules.Modules))...)
	slices.Sort(names)
	var found []finding.Finding
	for _, name := range slices.Compact(names) {
		if name == kmod.Conntrack || h.IsLoaded(name) {
			continue
		}
		f, isBlocked := ruleBlocked(h, name)
		if isBlocked {
			found = append(found, f)
			continue
		}
		for _, k := range checkedKernels(h) {
			if f, isMissing := ruleMissing(h, k, name); isMissing {
				found = append(found, f)
			}
		}
	}
	return found
}

// needOf returns the rule that needs a module, and the severity of a finding about it.
func needOf(h *picture.Host, name string) (finding.Severity, []finding.Evidence) {
	if place, isNeeded := h.Rules.Modules[name]; isNeeded {
		return finding.Error, []finding.Evidence{finding.At(place, "a rule that needs "+name)}
	}
	return finding.Info, nil
}

// ruleBlocked returns the finding about a blocked module. A rule loads it by its name, so a blacklist
// does not block it.
func ruleBlocked(h *picture.Host, name string) (finding.Finding, bool) {
	b := findBlocks(h, name)
	if !b.isHard() {
		return finding.Finding{}, false
	}
	severity, evidence := needOf(h, name)
	return finding.Finding{
		ID: "rule-module-blacklisted", Severity: severity, Evidence: append(evidence, b.evidence()...),
		Summary: name + " is blocked, and every rule that needs it fails",
		Fix:     b.fix(h, name, change.Run("modprobe", name)),
	}, true
}

// ruleMissing returns the finding about a module that a kernel does not have, or cannot load because a
// dependency is missing.
func ruleMissing(h *picture.Host, k picture.Kernel, name string) (finding.Finding, bool) {
	severity, evidence := needOf(h, name)
	file := k.Files[name]
	missing := slices.DeleteFunc(k.Missing(k.Dependencies(name)), func(other string) bool {
		// These have findings of their own.
		return other == kmod.Conntrack || slices.Contains(k.Dependencies(kmod.Conntrack), other)
	})
	switch {
	case file.Found && errors.Is(file.Err, fs.ErrPermission), k.Index.BuiltIn[name], h.IsBuiltIn() &&
		severity == finding.Info,
		!file.Listed && severity == finding.Info: // the kernel has no such module, and no rule needs it
		return finding.Finding{}, false
	case !file.Found && file.Listed:
		evidence = append(evidence, finding.Seen(file.Path, 0, "does not exist"))
	case !file.Found:
		evidence = append(evidence, finding.Seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name))
	case len(missing) > 0:
		evidence = append(evidence, finding.Seen(file.Path, 0, "needs "+strings.Join(missing,
			", ")+", which does not exist"))
	default:
		return finding.Finding{}, false
	}
	install := h.Distro.ReinstallKernel(k.Release)
	if extra := h.Distro.ReinstallExtraModules(k.Release); len(extra) > 0 && !file.Found && !file.Listed {
		install = extra
	}
	return finding.Finding{
		ID: "rule-module-missing", Severity: severity, Evidence: evidence,
		Summary: "kernel " + k.Release + " cannot load " + name + ", and every rule that needs it fails",
		Fix:     withLoad(h, k.Release, change.Run("modprobe", name), append(install, depmod(k.Release))),
	}, true
}
