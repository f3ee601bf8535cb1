package guard

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// conntrack and hashsize are names as the kernel has them, with their NULs.
const (
	conntrack = "nf_conntrack\x00"
	hashsize  = "hashsize\x00"
)

// nameAt is where struct module has its name: behind its state and its list. A kernel that
// shuffles its structures (CONFIG_RANDSTRUCT) has it elsewhere; there nobody is named, because
// nothing is called nf_conntrack.
const nameAt = 24

// The stack of the tracing programs: where sysctlProgram has the name of a sysctl.
const (
	stackText    = stackName
	stackPointer = stackName + 32
)

// loadProgram tells of a load of nf_conntrack (tracepoint module:module_load, before the
// module's init) and who demanded it last, if anybody did.
func loadProgram(m *maps, who identity) *ebpf.ProgramSpec {
	p := moduleProgram(m, who, loadedModule)
	p = append(p,
		asm.StoreImm(asm.RFP, stackKey, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.request.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, submit),
	)
	for at := int16(0); at < actorSize; at += 8 {
		p = append(p,
			asm.LoadMem(asm.R1, asm.R0, at, asm.DWord),
			asm.StoreMem(asm.RFP, stackRecord+atText+at, asm.R1, asm.DWord))
	}
	return rawTracepoint("ctkeeper_load", append(p, finish(m)...))
}

// unloadProgram tells of an unload (tracepoint module:module_free), in the process that asked
// for it.
func unloadProgram(m *maps, who identity) *ebpf.ProgramSpec {
	return rawTracepoint("ctkeeper_free", append(moduleProgram(m, who, unloadedModule), finish(m)...))
}

// moduleProgram is how both begin: R1 has the arguments, of which the first is a struct
// module. It leaves for allow with any other module.
func moduleProgram(m *maps, who identity, kind int64) asm.Instructions {
	p := asm.Instructions{asm.LoadMem(asm.R7, asm.R1, 0, asm.DWord)}
	p = append(p, zero(stackText, 16)...)
	p = append(p, readKernel(stackText, 16, asm.R7, nameAt)...)
	p = append(p, unlessText(stackText, conntrack, allow)...)
	p = append(p, zero(stackRecord, recordSize)...)
	p = append(p, who.storeActor()...)
	return append(p, asm.StoreImm(asm.RFP, stackRecord+atKind, kind, asm.Word))
}

// requestProgram remembers who demanded a module last (tracepoint module:module_request): the
// kernel then starts a modprobe of its own, and that one loads it.
func requestProgram(m *maps, who identity) *ebpf.ProgramSpec {
	p := append(zero(stackRecord, recordSize), who.storeActor()...)
	p = append(p,
		asm.StoreImm(asm.RFP, stackKey, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.request.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackKey),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, stackRecord+atTime),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(allow),
		asm.Return(),
	)
	return rawTracepoint("ctkeeper_request", p)
}

// sysfsProgram tells of a write to a module's parameter hashsize through sysfs, when it is
// done (module_attr_store): arguments and result are in the order of the function's.
func sysfsProgram(m *maps, who identity, setting uint32) *ebpf.ProgramSpec {
	p := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	p = append(p, unlessNamed(0, conntrack)...) // struct kobject
	p = append(p, unlessNamed(8, hashsize)...)  // struct attribute
	p = append(p, zero(stackRecord, recordSize)...)
	p = append(p, who.storeActor()...)
	p = append(p,
		asm.StoreImm(asm.RFP, stackRecord+atKind, wroteSysfs, asm.Word),
		asm.StoreImm(asm.RFP, stackRecord+atSetting, int64(setting), asm.Word),
		asm.LoadMem(asm.R1, asm.R6, 32, asm.DWord), // the result
		asm.StoreMem(asm.RFP, stackRecord+atResult, asm.R1, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackRecord+atText),
		asm.Mov.Imm(asm.R2, textSize),
		asm.LoadMem(asm.R3, asm.R6, 16, asm.DWord), // the text
		asm.FnProbeReadKernelStr.Call(),
	)
	return &ebpf.ProgramSpec{
		Name: "ctkeeper_sysfs", Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFExit, AttachTo: "module_attr_store",
		License: license, Instructions: append(p, finish(m)...),
	}
}

// named leaves for allow unless the structure in an argument, whose first member is the
// pointer to its name, has this one.
func unlessNamed(argument int16, name string) asm.Instructions {
	p := append(zero(stackText, 16), zero(stackPointer, 8)...)
	p = append(p, asm.LoadMem(asm.R7, asm.R6, argument, asm.DWord))
	p = append(p, readKernel(stackPointer, 8, asm.R7, 0)...)
	p = append(p,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackText),
		asm.Mov.Imm(asm.R2, 16),
		asm.LoadMem(asm.R3, asm.RFP, stackPointer, asm.DWord),
		asm.FnProbeReadKernelStr.Call())
	return append(p, unlessText(stackText, name, allow)...)
}

// ending tells the record and ends a tracing program.
func finish(m *maps) asm.Instructions {
	return append(emit(m, submit),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(done),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(allow),
		asm.Return(),
	)
}

// unlessText jumps unless the stack has this text.
func unlessText(at int16, text, label string) asm.Instructions {
	var p asm.Instructions
	for raw := []byte(text); len(raw) > 0; {
		size, value := asm.Byte, int64(raw[0])
		switch {
		case len(raw) >= 4:
			size, value = asm.Word, int64(binary.NativeEndian.Uint32(raw))
		case len(raw) >= 2:
			size, value = asm.Half, int64(binary.NativeEndian.Uint16(raw))
		}
		p = append(p,
			asm.LoadMem(asm.R1, asm.RFP, at, size),
			asm.JNE.Imm(asm.R1, int32(value), label))
		raw, at = raw[size.Sizeof():], at+int16(size.Sizeof())
	}
	return p
}

func rawTracepoint(name string, p asm.Instructions) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Name: name, Type: ebpf.RawTracepoint, License: license, Instructions: p}
}
