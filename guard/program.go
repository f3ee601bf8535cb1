package guard

import "github.com/cilium/ebpf"

// license of the programs, as the kernel asks for it (license_is_gpl_compatible).
const license = "Dual MIT/GPL"

func sysctlProgram() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Type: ebpf.CGroupSysctl, AttachType: ebpf.AttachCGroupSysctl, License: license}
}

var _ = sysctlProgram
