package guard

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// conntrack and hashsize are the names of the module and its parameter in the kernel, with their NULs.
const (
	conntrack = "nf_conntrack\x00"
	hashsize  = "hashsize\x00"
)

// nameAt is the offset of the name in struct module, behind its state and its list. A kernel that shuffles
// its structures (CONFIG_RANDSTRUCT) has it elsewhere: there no process is reported, because nothing matches
// the name nf_conntrack.
const nameAt = 24

// The stack of the tracing programs, in the place of the sysctl's name in sysctlProgram.
const (
	stackText    = stackName
	stackPointer = stackName + 32
)

// loadProgram returns the program that reports a load of nf_conntrack (tracepoint module:module_load, before
// the module's init), and the process that last requested a module, if any did.
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

// unloadProgram returns the program that reports an unload (tracepoint module:module_free), in the process
// that requested it.
func unloadProgram(m *maps, who identity) *ebpf.ProgramSpec {
	return rawTracepoint("ctkeeper_free", append(moduleProgram(m, who, unloadedModule), finish(m)...))
}

// moduleProgram is the common beginning of loadProgram and unloadProgram. R1 points to the arguments, of
// which the first is a struct module. It jumps to ignore for any other module.
func moduleProgram(m *maps, who identity, kind int64) asm.Instructions {
	p := asm.Instructions{asm.LoadMem(asm.R7, asm.R1, 0, asm.DWord)}
	p = append(p, zero(stackText, 16)...)
	p = append(p, readKernel(stackText, 16, asm.R7, nameAt)...)
	p = append(p, unlessText(stackText, conntrack, ignore)...)
	p = append(p, zero(stackRecord, recordSize)...)
	p = append(p, who.storeActor()...)
	return append(p, asm.StoreImm(asm.RFP, stackRecord+atKind, kind, asm.Word))
}

// requestProgram returns the program that stores the process that last requested a module (tracepoint
// module:module_request). The kernel then starts a modprobe of its own, which loads the module.
func requestProgram(m *maps, who identity) *ebpf.ProgramSpec {
	p := append(zero(stackRecord, recordSize), who.storeActor()...)
	p = append(p,
		asm.StoreImm(asm.RFP, stackKey, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.request.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackKey),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, stackRecord+atTime),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnMapUpdateElem.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(ignore),
		asm.Return(),
	)
	return rawTracepoint("ctkeeper_modreq", p)
}

// sysfsProgram returns the program that reports a write to the parameter hashsize through sysfs, when
// module_attr_store returns. R1 points to that function's arguments and result, in their order.
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

// unlessNamed jumps to ignore unless the structure in an argument has this name. Its first member must be the
// pointer to its name.
func unlessNamed(argument int16, name string) asm.Instructions {
	p := append(zero(stackText, 16), zero(stackPointer, 8)...)
	p = append(p, asm.LoadMem(asm.R7, asm.R6, argument, asm.DWord))
	p = append(p, readKernel(stackPointer, 8, asm.R7, 0)...)
	p = append(p,
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackText),
		asm.Mov.Imm(asm.R2, 16),
		asm.LoadMem(asm.R3, asm.RFP, stackPointer, asm.DWord),
		asm.FnProbeReadKernelStr.Call())
	return append(p, unlessText(stackText, name, ignore)...)
}

// finish is the common end of the tracing programs: it submits the record and returns 0.
func finish(m *maps) asm.Instructions {
	return append(emit(m, submit),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(done),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol(ignore),
		asm.Return(),
	)
}

// unlessText jumps to a label unless the stack has this text.
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
