package picture

import (
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// maxParameter is more than any module parameter is long: a page at most.
const maxParameter = 64 << 10

const ExpectationsFile = "/proc/net/nf_conntrack_expect"

// HelperModule is a module of the kernel that has a conntrack helper.
type HelperModule struct {
	// Name is the module's: nf_conntrack_sip.
	Name string
	// State is kmod.Loaded or kmod.BuiltIn.
	State kmod.State
	// Parameters are those that could be read, without white space around them.
	Parameters []finding.Evidence
}

// HelperModules has the kernel's helpers by the module that they are in: the names
// of the calls of nf_ct_helper_init and of struct nf_conntrack_helper in net/netfilter.
func HelperModules() map[string][]string {
	return map[string][]string{
		"nf_conntrack_amanda":     {"amanda"},
		"nf_conntrack_ftp":        {"ftp"},
		"nf_conntrack_h323":       {"RAS", "Q.931", "H.245"},
		"nf_conntrack_irc":        {"irc"},
		"nf_conntrack_netbios_ns": {"netbios-ns"},
		"nf_conntrack_pptp":       {"pptp"},
		"nf_conntrack_sane":       {"sane"},
		"nf_conntrack_sip":        {"sip"},
		"nf_conntrack_snmp":       {"snmp"},
		"nf_conntrack_tftp":       {"tftp"},
	}
}

// HelperModuleOf is the module that has the helper of a name, or "". Names with a
// number behind them (ftp-2121) are of a module that serves several ports.
func HelperModuleOf(helper string) string {
	for module, names := range HelperModules() {
		for _, name := range names {
			rest, found := strings.CutPrefix(helper, name)
			if found && (rest == "" || strings.Trim(strings.TrimPrefix(rest, "-"), "0123456789") == "") {
				return module
			}
		}
	}
	return ""
}

// readHelpers finds the helpers that the kernel has now, sorted by name. Reading
// a module's parameters changes nothing; some may be read by root only.
func readHelpers(t tree.Tree) []HelperModule {
	names, err := t.List("/sys/module")
	if err != nil {
		return nil
	}
	known := HelperModules()
	var found []HelperModule
	for _, name := range names {
		if known[name] == nil {
			continue
		}
		module := HelperModule{Name: name, State: kmod.BuiltIn}
		dir := path.Join("/sys/module", name)
		if t.Exists(path.Join(dir, "initstate")) {
			module.State = kmod.Loaded
		}
		module.Parameters = readParameters(t, path.Join(dir, "parameters"))
		found = append(found, module)
	}
	return found
}

func readParameters(t tree.Tree, dir string) []finding.Evidence {
	names, err := t.List(dir)
	if err != nil {
		return nil
	}
	var parameters []finding.Evidence
	for _, name := range names {
		file := path.Join(dir, name)
		if value, err := t.Read(file, maxParameter); err == nil {
			parameters = append(parameters, finding.Evidence{Place: tree.Place{File: file}, Text: strings.TrimSpace(string(value))})
		}
	}
	return parameters
}
