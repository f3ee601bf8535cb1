package guard

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
)

// constants are what the programs are told before they are loaded (bpf/guard.c).
type constants struct {
	ownPID, ownNetns, hashsize uint32
}

// load loads one program, with the maps that all of them share.
func (m *maps) load(name string, c constants) (*ebpf.Program, error) {
	spec := m.spec.Copy()
	for other := range spec.Programs {
		if other != name {
			delete(spec.Programs, other)
		}
	}
	for variable, value := range map[string]uint32{
		bpfVarOwnPid: c.ownPID, bpfVarOwnNetns: c.ownNetns, bpfVarHashsize: c.hashsize,
	} {
		if err := spec.Variables[variable].Set(value); err != nil {
			return nil, fmt.Errorf("cannot set %s of the BPF programs: %w", variable, err)
		}
	}
	shared := map[string]*ebpf.Map{
		bpfMapCtkeeperRules: m.CtkeeperRules, bpfMapCtkeeperAllow: m.CtkeeperAllow, bpfMapCtkeeperRing: m.CtkeeperRing,
		bpfMapCtkeeperLost: m.CtkeeperLost, bpfMapCtkeeperModreq: m.CtkeeperModreq,
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: m.types, MapReplacements: shared})
	if err != nil {
		return nil, fmt.Errorf("cannot load the BPF program: %w", err)
	}
	defer loaded.Close()
	return loaded.DetachProgram(name), nil
}

// hasHelper reports whether programs of a type may call a helper.
func hasHelper(kind ebpf.ProgramType, helper asm.BuiltinFunc) bool {
	return features.HaveProgramHelper(kind, helper) == nil
}
