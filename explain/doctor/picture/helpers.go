package picture

import (
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

// HelperModule is a loaded or built-in module with a conntrack helper.
type HelperModule struct {
	// Name is the name of the module: nf_conntrack_sip.
	Name string
	// State is kmod.Loaded or kmod.BuiltIn.
	State kmod.State
	// Parameters are those that could be read, without the spaces around them.
	Parameters []finding.Evidence
}

// HelperModules returns the names of the kernel's helpers by module. The names are from the calls of
// nf_ct_helper_init and from struct nf_conntrack_helper in net/netfilter.
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

// HelperModuleOf returns the module of a helper; "" where the kernel has none. A name with a number
// (ftp-2121) is from a module that serves several ports.
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

// readHelpers returns the helper modules that the kernel has now, sorted by name. Only root can read
// some of their parameters.
func readHelpers(t tree.Tree) []HelperModule {
	names, _ := t.List("/sys/module")
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
	const maxParameter = 64 << 10 // bytes: more than a page, which is the kernel's limit
	names, _ := t.List(dir)
	var parameters []finding.Evidence
	for _, name := range names {
		file := path.Join(dir, name)
		if value, err := t.Read(file, maxParameter); err == nil {
			parameters = append(parameters, finding.Seen(file, 0, strings.TrimSpace(string(value))))
		}
	}
	return parameters
}
