package guard

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
)

// load loads one of the programs in bpf/guard.c, with the maps that all of them share.
func (m *maps) load(name string) (*ebpf.Program, error) {
	spec := m.spec.Copy()
	spec.Programs = map[string]*ebpf.ProgramSpec{name: spec.Programs[name]}
	shared := map[string]*ebpf.Map{
		bpfMapCtkeeperRules: m.CtkeeperRules, bpfMapCtkeeperAllow: m.CtkeeperAllow, bpfMapCtkeeperRing: m.CtkeeperRing,
		bpfMapCtkeeperLost: m.CtkeeperLost, bpfMapCtkeeperModreq: m.CtkeeperModreq,
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: m.kernel, MapReplacements: shared})
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

// loadSysctl loads the program for sysctls that reports the most on this host.
func (g *Guard) loadSysctl() (*ebpf.Program, error) {
	err := errCannotReadKernel(ebpf.CGroupSysctl)
	if err == nil {
		var program *ebpf.Program
		if program, err = g.maps.load(bpfProgCtkeeperNetns); err == nil {
			g.features.PID, g.features.Comm, g.features.Netns = true, true, true
			return program, nil
		}
	}
	g.addMissing("the network namespace of a write", err, CapPerfmon)
	g.features.PID = hasHelper(ebpf.CGroupSysctl, asm.FnGetCurrentPidTgid)
	g.features.Comm = g.features.PID && hasHelper(ebpf.CGroupSysctl, asm.FnGetCurrentComm)
	switch {
	case g.features.Comm:
		return g.maps.load(bpfProgCtkeeperComm)
	case g.features.PID:
		return g.maps.load(bpfProgCtkeeperPid)
	}
	return g.maps.load(bpfProgCtkeeperCgroup)
}

// addMissingActor adds the reason to Missing if the pid or the command of a writer is not reported. Newer kernels
// require CAP_PERFMON for the helpers. Older kernels have no such helpers: with CAP_PERFMON the program reads
// the task_struct.
func (g *Guard) addMissingActor() {
	reason := cmp.Or(errCannotReadKernel(ebpf.CGroupSysctl), ebpf.ErrNotSupported)
	if !g.features.PID {
		g.addMissing("the pid of a writer", reason, CapPerfmon)
	}
	if !g.features.Comm {
		g.addMissing("the command of a writer", reason, CapPerfmon)
	}
}

// errLockdown is the error if BPF programs cannot read the kernel's memory (LOCKDOWN_BPF_READ_KERNEL).
var errLockdown = errors.New("BPF programs cannot read the kernel's memory")

// errCannotReadKernel returns why programs of a type cannot read the kernel's memory, or nil.
func errCannotReadKernel(kind ebpf.ProgramType) error {
	switch err := features.HaveProgramType(kind); {
	case !hasCapability(CapPerfmon):
		return fs.ErrPermission
	case err != nil:
		return err
	case !hasHelper(kind, asm.FnProbeReadKernel):
		return errLockdown
	}
	return nil
}

// attachTracingPrograms attaches the tracing programs, and adds those that cannot be attached to Missing.
func (g *Guard) attachTracingPrograms() {
	g.features.Modules = true
	for name, tracepoint := range map[string]string{
		bpfProgCtkeeperLoad: "module_load", bpfProgCtkeeperFree: "module_free",
		bpfProgCtkeeperRequest: "module_request",
	} {
		err := g.attachTracing(name, func(p *ebpf.Program) (attached, error) {
			return attachTracepoint(p, tracepoint)
		})
		if err != nil {
			g.addMissing("who loads and unloads the module", err, CapPerfmon)
			g.features.Modules = false
			break
		}
	}
	err := g.attachTracing(bpfProgCtkeeperSysfs, attachTracing)
	if g.features.Sysfs = err == nil; err != nil {
		g.addMissing("who writes hashsize through sysfs", err, CapPerfmon)
	}
}

// attachTracing loads a tracing program and attaches it. All of them have the helpers of raw tracepoints
// (bpf_tracing_func_proto).
func (g *Guard) attachTracing(name string, attach func(*ebpf.Program) (attached, error)) error {
	if err := errCannotReadKernel(ebpf.RawTracepoint); err != nil {
		return err
	}
	program, err := g.maps.load(name)
	if err != nil {
		return err
	}
	a, err := attach(program)
	if err == nil {
		g.programs = append(g.programs, a)
	}
	return err
}
