package daemon

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// wantedParameters returns those of module.parameters that only a load can set. hashsize is
// not among them: the daemon can set it at any time, and settings.hashsize may ask for
// another value.
func wantedParameters(cfg *config.Config) []status.Parameter {
	out := []status.Parameter{}
	for _, p := range cfg.Module.Parameters {
		if p.Name != sysfs.Hashsize {
			out = append(out, status.Parameter{Name: p.Name, Want: p.Value, Origin: p.Origin})
		}
	}
	return out
}

// readParameters returns the parameters with their live values and states.
func readParameters(t tree.Tree, module kmod.State, wanted []status.Parameter) []status.Parameter {
	out := make([]status.Parameter, len(wanted))
	var users []string
	for i, p := range wanted {
		p.Live, p.State, p.Error, p.HeldBy = "", status.ParameterUnknown, "nf_conntrack is absent", []string{}
		if module != kmod.Absent {
			live, err := kmod.ParameterValue(t, kmod.Conntrack, p.Name)
			p.Live, p.State, p.Error = compareParameter(p, live, err)
		}
		if p.State == status.ParameterNeedsReload && module == kmod.BuiltIn && isSetAtRunTime(t, p) {
			p.State = status.ParameterInSync
		}
		if p.State == status.ParameterNeedsReload && module == kmod.Loaded {
			if users == nil {
				modules, _ := kmod.ReadModules(t) // its users are only a hint
				users = append([]string{}, kmod.Users(modules, kmod.Conntrack)...)
			}
			p.HeldBy = users
		}
		out[i] = p
	}
	return out
}

// isSetAtRunTime reports whether the setting of a parameter has the wanted value, so that only network namespaces that
// are made later differ.
func isSetAtRunTime(t tree.Tree, p status.Parameter) bool {
	name := sysfs.SettingOf(p.Name)
	return name != "" && sysfs.ReadAll(t)[name] == p.Want
}

// compareParameter returns a parameter's live value in modprobe.d's notation, its state, and
// why the state is unknown. err is the error of reading found.
func compareParameter(
	p status.Parameter, found string, err error,
) (live string, state status.ParameterState, why string) {
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.Name == "enable_hooks":
		return "", status.ParameterUnknown, "the kernel does not show it"
	case errors.Is(err, fs.ErrNotExist):
		return "", status.ParameterUnsupported, ""
	case err != nil:
		return "", status.ParameterUnknown, "cannot read it: " + tree.WithoutPath(err).Error()
	}
	live = strings.TrimSpace(found)
	switch live { // how the kernel shows a bool, param_get_bool
	case "Y":
		live = "1"
	case "N":
		live = "0"
	}
	if sysfs.IsSameParameter(p.Name, p.Want, live) {
		return live, status.ParameterInSync, ""
	}
	return live, status.ParameterNeedsReload, ""
}
