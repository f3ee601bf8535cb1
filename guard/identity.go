package guard

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
)

// identity is how programs of one type identify the running process. The available helpers depend on the
// type, the kernel and the capabilities, so each is probed.
type identity struct {
	pid, comm bool
	// task is true if there are no helpers and pid and comm are read from the task_struct, at these
	// offsets in bytes.
	task           bool
	tgidAt, commAt int32
	self           int32 // the daemon's own pid, which is ignored; 0 if unknown
}

// storeActor stores time, cgroup, pid and comm in the record on the stack, which must be zero. It jumps to
// ignore if the process is the daemon itself.
func (id identity) storeActor() asm.Instructions {
	p := asm.Instructions{
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.RFP, stackRecord+atTime, asm.R0, asm.DWord),
		asm.FnGetCurrentCgroupId.Call(),
		asm.StoreMem(asm.RFP, stackRecord+atCgroup, asm.R0, asm.DWord),
	}
	switch {
	case id.task:
		p = append(p, asm.FnGetCurrentTask.Call(), asm.Mov.Reg(asm.R9, asm.R0))
		p = append(p, readKernel(stackRecord+atPID, 4, asm.R9, id.tgidAt)...)
		p = append(p, readKernel(stackRecord+atComm, commSize, asm.R9, id.commAt)...)
		p = append(p, asm.LoadMem(asm.R0, asm.RFP, stackRecord+atPID, asm.Word))
	case id.pid:
		p = append(p,
			asm.FnGetCurrentPidTgid.Call(),
			asm.RSh.Imm(asm.R0, 32),
			asm.StoreMem(asm.RFP, stackRecord+atPID, asm.R0, asm.Word))
	}
	if id.self != 0 && (id.task || id.pid) {
		p = append(p, asm.JEq.Imm(asm.R0, id.self, ignore))
	}
	if id.comm && !id.task {
		p = append(p,
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackRecord+atComm),
			asm.Mov.Imm(asm.R2, commSize),
			asm.FnGetCurrentComm.Call())
	}
	return p
}

// readKernel copies size bytes at an address plus offset to the stack (bpf_probe_read_kernel). On a fault it
// stores zeros.
func readKernel(to int16, size int32, address asm.Register, offset int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(to)),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, address), asm.Add.Imm(asm.R3, offset),
		asm.FnProbeReadKernel.Call(),
	}
}

// hasHelper reports whether programs of a type may call a helper. Tracing programs cannot be probed for
// helpers, and have those of raw tracepoints (bpf_tracing_func_proto).
func hasHelper(kind ebpf.ProgramType, helper asm.BuiltinFunc) bool {
	if kind == ebpf.Tracing {
		kind = ebpf.RawTracepoint
	}
	return features.HaveProgramHelper(kind, helper) == nil
}

// probeIdentity probes how programs of a type can identify a process. It returns the kernel's error if it
// does not support the type, or if this process may not load such programs.
func probeIdentity(kind ebpf.ProgramType, self int) (identity, error) {
	if err := features.HaveProgramType(kind); err != nil {
		return identity{}, err
	}
	id := identity{
		pid:  hasHelper(kind, asm.FnGetCurrentPidTgid),
		comm: hasHelper(kind, asm.FnGetCurrentComm),
		self: int32(self),
	}
	if !id.pid && hasHelper(kind, asm.FnGetCurrentTask) && hasHelper(kind, asm.FnProbeReadKernel) {
		id.task = id.locate() == nil
	}
	return id, nil
}

// locate finds the offsets of pid and command in this kernel's task_struct, in its own type information
// (CONFIG_DEBUG_INFO_BTF).
func (id *identity) locate() error {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("cannot read the kernel's types: %w", err)
	}
	var task *btf.Struct
	if err := spec.TypeByName("task_struct", &task); err != nil {
		return fmt.Errorf("cannot find the kernel's task_struct: %w", err)
	}
	for _, m := range task.Members {
		switch m.Name {
		case "tgid":
			id.tgidAt = int32(m.Offset.Bytes())
		case "comm":
			id.commAt = int32(m.Offset.Bytes())
		}
	}
	if id.tgidAt == 0 || id.commAt == 0 {
		return fmt.Errorf("cannot find pid and command in the kernel's task_struct: %w", btf.ErrNotFound)
	}
	return nil
}
