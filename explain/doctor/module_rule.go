package doctor

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// ruleModules asks for the modules that rules about connections need: xt_conntrack and
// xt_state of iptables, nft_ct of nftables, and whatever else this host's rules
// name. Without one a rule fails, and mostly the whole rule set with it.
func ruleModules(h *Host) []Finding {
	names := []string{"nft_ct", "xt_conntrack", "xt_state"}
	for name := range h.Rules.Modules {
		names = append(names, name)
	}
	slices.Sort(names)
	var found []Finding
	for _, name := range slices.Compact(names) {
		if name == kmod.Conntrack || h.loaded(name) {
			continue
		}
		if f, barred := h.ruleBarred(name); barred {
			found = append(found, f)
			continue
		}
		for _, k := range h.judged() {
			if f, missing := h.ruleMissing(k, name); missing {
				found = append(found, f)
			}
		}
	}
	return found
}

// asked is the evidence and the severity of a module that a rule asks for, or that
// none does.
func (h *Host) asked(name string) (Severity, []Evidence) {
	if place, needed := h.Rules.Modules[name]; needed {
		return Error, []Evidence{{place, "a rule that needs " + name}}
	}
	return Info, nil
}

func (h *Host) ruleBarred(name string) (Finding, bool) {
	b := h.bars(name)
	if len(b.refused) == 0 && len(b.installs) == 0 { // blacklists do not keep rules from loading it by its name
		return Finding{}, false
	}
	severity, evidence := h.asked(name)
	return Finding{
		ID: "rule-module-blacklisted", Severity: severity, Evidence: append(evidence, b.evidence()...),
		Summary: name + " is kept out, and every rule that needs it fails",
		Fix:     b.fix(h, name, "modprobe "+quote(name)),
	}, true
}

func (h *Host) ruleMissing(k Kernel, name string) (Finding, bool) {
	severity, evidence := h.asked(name)
	file := k.Files[name]
	needs := slices.DeleteFunc(k.missing(k.dependencies(name)), func(other string) bool {
		// These have findings of their own.
		return other == kmod.Conntrack || slices.Contains(k.dependencies(kmod.Conntrack), other)
	})
	switch {
	case file.Found && errors.Is(file.Err, fs.ErrPermission), k.Index.BuiltIn[name], h.inImage() && severity == Info,
		!file.Listed && severity == Info: // a kernel without it, and nobody asks
		return Finding{}, false
	case !file.Found && file.Listed:
		evidence = append(evidence, seen(file.Path, 0, "not there"))
	case !file.Found:
		evidence = append(evidence, seen(k.Index.Dir+"/modules.dep", 0, "does not list "+name))
	case len(needs) > 0:
		evidence = append(evidence, seen(file.Path, 0, "needs "+strings.Join(needs, ", ")+", which is not there"))
	default:
		return Finding{}, false
	}
	again := h.Distro.ReinstallKernel(k.Release)
	if extra := h.Distro.ReinstallExtraModules(k.Release); extra != "" && !file.Found && !file.Listed {
		again = extra
	}
	fix := []string{again, "depmod -a " + quote(k.Release)}
	if k.Release == h.Release {
		fix = append(fix, "modprobe "+quote(name))
	}
	return Finding{
		ID: "rule-module-missing", Severity: severity, Evidence: evidence,
		Summary: "kernel " + k.Release + " cannot load " + name + ", and every rule that needs it fails",
		Fix:     slices.DeleteFunc(fix, func(command string) bool { return command == "" }),
	}, true
}
