package daemon

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// ParameterState says how a module parameter stands to what is wanted of it.
type ParameterState string

// The states of a parameter.
const (
	ParameterInSync ParameterState = "in-sync"
	// NeedsReload says that the module has to be loaded anew, which ctkeeper never does.
	NeedsReload ParameterState = "reload"
	// Unknown is a parameter that this process may not read, or the kernel does not
	// show, or that nothing has while the module is absent.
	Unknown ParameterState = "unknown"
	// NoSuchParameter is one that this kernel does not have.
	NoSuchParameter ParameterState = "unsupported"
)

// Parameter is one of module.parameters, held against the module in the kernel.
type Parameter struct {
	Name string `json:"name"`
	// Want and Now are as modprobe.d takes them; Now is empty where it is not known.
	Want   string         `json:"want"`
	Now    string         `json:"now"`
	Origin string         `json:"origin"`
	State  ParameterState `json:"state"`
	// Error is why the state is not known.
	Error string `json:"error"`
	// HeldBy are the modules that have to be unloaded before nf_conntrack, where it
	// needs a reload.
	HeldBy []string `json:"held_by"`
}

// NeedsReload reports whether any parameter is known to differ.
func (m ModuleStatus) NeedsReload() bool {
	return slices.ContainsFunc(m.Parameters, func(p Parameter) bool { return p.State == NeedsReload })
}

// LookAgain looks at the parameters that are unknown, of the system below root:
// expect_hashsize is for root's eyes, and the daemon is not root.
func (m *ModuleStatus) LookAgain(root string) {
	t := tree.At(root)
	for i, p := range m.Parameters {
		if p.State == Unknown {
			m.Parameters[i] = lookAtParameters(t, m.State, []Parameter{p})[0]
		}
	}
}

// wantedParameters are those of module.parameters that only a load can set. hashsize is
// not among them: the daemon sets it at any time, and settings.hashsize may ask for
// another.
func wantedParameters(cfg *config.Config) []Parameter {
	out := []Parameter{}
	for _, p := range cfg.Module.Parameters {
		if p.Name != sysfs.Hashsize {
			out = append(out, Parameter{Name: p.Name, Want: p.Value, Origin: p.Origin})
		}
	}
	return out
}

// lookAtParameters tells where parameters stand.
func lookAtParameters(t tree.Tree, module kmod.State, wanted []Parameter) []Parameter {
	out := make([]Parameter, len(wanted))
	var users []string
	looked := false
	for i, p := range wanted {
		p.Now, p.Error, p.HeldBy = "", "", []string{}
		p.State = Unknown
		if module == kmod.Absent {
			p.Error = "nf_conntrack is absent"
			out[i] = p
			continue
		}
		found, err := kmod.ParameterValue(t, kmod.Conntrack, p.Name)
		p.judge(found, err)
		if p.State == NeedsReload && module == kmod.Loaded {
			if !looked {
				modules, _ := kmod.ReadModules(t) // who holds it is a help, no more
				users, looked = kmod.Users(modules, kmod.Conntrack), true
			}
			p.HeldBy = append(p.HeldBy, users...)
		}
		out[i] = p
	}
	return out
}

// judge sets the state by what reading the parameter gave.
func (p *Parameter) judge(found string, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist) && p.Name == "enable_hooks":
		p.Error = "the kernel shows it to nobody"
	case errors.Is(err, fs.ErrNotExist):
		p.State = NoSuchParameter
	case err != nil:
		if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		p.Error = "cannot read it: " + err.Error()
	default:
		p.Now, p.State = written(found), NeedsReload
		if sameParameter(p.Name, p.Want, p.Now) {
			p.State = ParameterInSync
		}
	}
}

// written is a value as modprobe.d takes it, where the kernel shows Y and N.
func written(found string) string {
	switch found = strings.TrimSpace(found); found {
	case "Y":
		return "1"
	case "N":
		return "0"
	}
	return found
}

// sameParameter compares as the kernel stores: it rounds expect_hashsize up to whole
// pages, as it does hashsize (nf_ct_alloc_hashtable).
func sameParameter(name, want, now string) bool {
	if name != "expect_hashsize" {
		return want == now
	}
	wanted, err1 := strconv.ParseInt(want, 10, 64)
	has, err2 := strconv.ParseInt(now, 10, 64)
	return err1 == nil && err2 == nil && sysfs.RoundHashsize(wanted) == sysfs.RoundHashsize(has)
}
