package guard

import (
	"math"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// license is the license of the programs (license_is_gpl_compatible): only GPL-compatible ones may call
// bpf_probe_read_kernel. This file and tracing.go may be used under the terms of the MIT license or the GPL,
// version 2, as well as under the project's own.
const license = "Dual MIT/GPL"

// nameSize is the size of a sysctl name in the map of rules, including its NUL. The catalogue's longest name
// has 57 letters.
const nameSize = 128

// baseName requests only the last part of a name (BPF_F_SYSCTL_BASE_NAME).
const baseName = 1

// The layout of a value of the map of rules.
const (
	ruleLow   = 0  // int64: the smallest accepted number
	ruleHigh  = 8  // int64: the largest accepted number
	ruleIndex = 16 // uint32: the index of the setting
	ruleFlags = 20 // uint32
	ruleSize  = 24

	// flagLock refuses values outside of the range, flagHold absorbs them.
	flagLock = 1
	flagHold = 2
	// flagZeroIsNoLimit treats 0 as the largest number.
	flagZeroIsNoLimit = 4

	// The member file_pos of the program's context (struct bpf_sysctl).
	filePos = 4
)

// The layout of the stack, from its top down.
const (
	stackRecord = -recordSize
	stackName   = stackRecord - nameSize
	stackNumber = stackName - 8
	stackKey    = stackNumber - 8
)

// The labels that the programs jump to.
const (
	ignore  = "ignore"  // returns without a record: a read, another sysctl, or the daemon itself
	submit  = "submit"  // submits the record, then goes to done
	outside = "outside" // refuses or absorbs the value, unless the cgroup is allowed
	done    = "done"    // returns the verdict
)

// sysctlProgram returns the program that runs before every read and write of a sysctl on the host
// (__cgroup_bpf_run_filter_sysctl). Its result is 1 to let the access through and 0 to refuse it.
func sysctlProgram(m *maps, who identity) *ebpf.ProgramSpec {
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R1, asm.R6, 0, asm.Word), // bpf_sysctl.write
		asm.JEq.Imm(asm.R1, 0, ignore),
	}
	p = append(p, findRule(m)...)
	p = append(p, zero(stackRecord, recordSize)...)
	p = append(p, who.storeActor()...)
	p = append(p,
		// The upper half of a stack slot is written first: without CAP_PERFMON the verifier refuses a write
		// beside what it treats as a spilled register.
		asm.LoadMem(asm.R1, asm.R7, ruleIndex, asm.Word),
		asm.StoreMem(asm.RFP, stackRecord+atSetting, asm.R1, asm.Word),
		asm.StoreImm(asm.RFP, stackRecord+atKind, wroteSysctl, asm.Word),
		// The value, cut if it is longer than textSize.
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackRecord+atText),
		asm.Mov.Imm(asm.R3, textSize),
		asm.FnSysctlGetNewValue.Call(),
		asm.Mov.Imm(asm.R8, 1), // the verdict
		asm.LoadMem(asm.R9, asm.R7, ruleFlags, asm.Word),
		asm.JSet.Imm(asm.R9, flagLock|flagHold, "blocking"),
		asm.Ja.Label(submit),
	)
	p = append(p, checkRange(m)...)
	p = append(p, emit(m, submit)...)
	p = append(p,
		asm.Mov.Reg(asm.R0, asm.R8).WithSymbol(done),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol(ignore),
		asm.Return(),
	)
	return &ebpf.ProgramSpec{
		Name: "ctkeeper_sysctl", Type: ebpf.CGroupSysctl, AttachType: ebpf.AttachCGroupSysctl,
		License: license, Instructions: p,
	}
}

// findRule looks up the rule of the sysctl and leaves it in R7; without a rule it jumps to ignore. The last
// part of the name is checked first, which is cheaper: every name of netfilter begins with nf, or is a number
// (nf_log/2).
func findRule(m *maps) asm.Instructions {
	p := append(zero(stackName, 8),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackName),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, baseName),
		asm.FnSysctlGetName.Call(), // cuts a longer name
		asm.LoadMem(asm.R1, asm.RFP, stackName, asm.Byte),
		asm.JLE.Imm(asm.R1, '9', "named"),
		asm.JNE.Imm(asm.R1, 'n', ignore),
		asm.LoadMem(asm.R1, asm.RFP, stackName+1, asm.Byte),
		asm.JNE.Imm(asm.R1, 'f', ignore),
	)
	whole := zero(stackName, nameSize)
	whole[0] = whole[0].WithSymbol("named")
	return append(append(p, whole...),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackName),
		asm.Mov.Imm(asm.R3, nameSize),
		asm.Mov.Imm(asm.R4, 0), // the whole name, as a path below /proc/sys
		asm.FnSysctlGetName.Call(),
		asm.JSLE.Imm(asm.R0, 0, ignore),
		asm.LoadMapPtr(asm.R1, m.rules.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackName),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, ignore),
		asm.Mov.Reg(asm.R7, asm.R0),
	)
}

// checkRange sets the verdict in R8 for a setting that is locked or held. It refuses or absorbs a number outside
// of the rule's range, a text that is not a number, and a text that was cut, unless the writer's cgroup is
// allowed. The kernel ignores a write that does not begin at position 0 and returns its full length
// (proc_first_pos_non_zero_ignore), if kernel.sysctl_writes_strict is 1: so the program moves a write that it
// absorbs. Before 6.3 the position must come from a register. R0 is the length
// of the text, or an error. The number is parsed as proc_dointvec parses it, which detects the base; what
// follows the number is ignored there as well, or refused.
func checkRange(m *maps) asm.Instructions {
	return asm.Instructions{
		// A text that was cut may contain another number behind the cut: the kernel skips any white space
		// before a number.
		asm.JSLE.Imm(asm.R0, 0, outside).WithSymbol("blocking"),
		asm.Mov.Imm(asm.R0, 0),
		asm.StoreMem(asm.RFP, stackNumber, asm.R0, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, stackRecord+atText),
		asm.Mov.Imm(asm.R2, textSize),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Reg(asm.R4, asm.RFP), asm.Add.Imm(asm.R4, stackNumber),
		asm.FnStrtol.Call(),
		asm.JSLE.Imm(asm.R0, 0, outside),
		asm.LoadMem(asm.R2, asm.RFP, stackNumber, asm.DWord),
		// 5.10 accepts -1 for max, as an unsigned number (sysfs.Want).
		asm.JSGE.Imm(asm.R2, 0, "unsigned"),
		asm.LoadImm(asm.R3, 1<<32, asm.DWord),
		asm.Add.Reg(asm.R2, asm.R3),
		asm.JNE.Imm(asm.R2, 0, "range").WithSymbol("unsigned"),
		asm.Mov.Reg(asm.R3, asm.R9), asm.And.Imm(asm.R3, flagZeroIsNoLimit),
		asm.JEq.Imm(asm.R3, 0, "range"),
		asm.LoadImm(asm.R2, math.MaxInt64, asm.DWord),
		asm.LoadMem(asm.R3, asm.R7, ruleLow, asm.DWord).WithSymbol("range"),
		asm.JSLT.Reg(asm.R2, asm.R3, outside),
		asm.LoadMem(asm.R3, asm.R7, ruleHigh, asm.DWord),
		asm.JSLE.Reg(asm.R2, asm.R3, submit),
		asm.LoadMapPtr(asm.R1, m.allowed.FD()).WithSymbol(outside),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackRecord+atCgroup),
		asm.FnMapLookupElem.Call(),
		asm.JNE.Imm(asm.R0, 0, submit),
		asm.JSet.Imm(asm.R9, flagHold, "hold"),
		asm.Mov.Imm(asm.R8, 0),
		asm.Mov.Imm(asm.R1, -int32(unix.EPERM)),
		asm.StoreMem(asm.RFP, stackRecord+atResult, asm.R1, asm.DWord),
		asm.Ja.Label(submit),
		asm.Mov.Imm(asm.R1, 1).WithSymbol("hold"),
		asm.StoreMem(asm.R6, filePos, asm.R1, asm.Word),
		asm.StoreMem(asm.RFP, stackRecord+atResult, asm.R1, asm.DWord),
	}
}

// emit submits the record to the ring buffer, at a label of its own, or counts it as lost if the buffer is
// full. It continues at done, which must follow.
func emit(m *maps, label string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.ring.FD()).WithSymbol(label),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackRecord),
		asm.Mov.Imm(asm.R3, recordSize),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.JEq.Imm(asm.R0, 0, done),
		asm.StoreImm(asm.RFP, stackKey, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, m.lost.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, stackKey),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, done),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
	}
}

// zero sets a part of the stack and R0 to zero. size is a multiple of 8 bytes.
func zero(offset, size int16) asm.Instructions {
	p := asm.Instructions{asm.Mov.Imm(asm.R0, 0)}
	for at := offset; at < offset+size; at += 8 {
		p = append(p, asm.StoreMem(asm.RFP, at, asm.R0, asm.DWord))
	}
	return p
}
