package guard

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
)

// identity is how a type of program tells who runs it. Helpers differ by type, kernel and
// rights: each is probed.
type identity struct {
	pid, comm bool
	// task says that pid and comm are read out of the task_struct, at these offsets in bytes,
	// where there are no helpers for them.
	task           bool
	tgidAt, commAt int32
	self           int32 // the daemon's own pid, which is passed over; 0 is not known
}

// identify fills in time, cgroup, pid and comm of the record on the stack, which is zero. It
// leaves for allow when it was the daemon itself.
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
		p = append(p, asm.JEq.Imm(asm.R0, id.self, allow))
	}
	if id.comm && !id.task {
		p = append(p,
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackRecord+atComm),
			asm.Mov.Imm(asm.R2, commSize),
			asm.FnGetCurrentComm.Call())
	}
	return p
}

// readKernel copies from offset bytes behind an address to the stack. A fault leaves zeros.
func readKernel(to int16, size int32, address asm.Register, offset int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, int32(to)),
		asm.Mov.Imm(asm.R2, size),
		asm.Mov.Reg(asm.R3, address), asm.Add.Imm(asm.R3, offset),
		asm.FnProbeReadKernel.Call(),
	}
}

// has reports whether programs of a type may call a helper here. Tracing programs cannot be
// probed for one, and have those of raw tracepoints (bpf_tracing_func_proto).
func hasHelper(kind ebpf.ProgramType, helper asm.BuiltinFunc) bool {
	if kind == ebpf.Tracing {
		kind = ebpf.RawTracepoint
	}
	return features.HaveProgramHelper(kind, helper) == nil
}

// probeIdentity probes what programs of a type can tell. The error is the kernel's where it has
// no such programs, or lets this process have none.
func probeIdentity(kind ebpf.ProgramType, self int) (identity, error) {
	if err := features.HaveProgramType(kind); err != nil {
		return identity{}, err
	}
	id := identity{pid: hasHelper(kind, asm.FnGetCurrentPidTgid), comm: hasHelper(kind, asm.FnGetCurrentComm), self: int32(self)}
	if !id.pid && hasHelper(kind, asm.FnGetCurrentTask) && hasHelper(kind, asm.FnProbeReadKernel) {
		id.task = id.locate() == nil
	}
	return id, nil
}

// locate finds pid and command in the task_struct of this kernel, by its own type
// information (CONFIG_DEBUG_INFO_BTF).
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
