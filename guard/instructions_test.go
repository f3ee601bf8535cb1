package guard

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestContextIsStoredFromRegister: each program for sysctls sets the context's file_pos once, from a register. Before
// Linux 6.3 the verifier refuses a constant there ("BPF_ST stores into R6 ctx is not allowed").
func TestContextIsStoredFromRegister(t *testing.T) {
	spec, err := loadBpf()
	if err != nil {
		t.Fatal(err)
	}
	const filePos = 4 // in struct bpf_sysctl
	count := 0
	for name, program := range spec.Programs {
		if program.Type != ebpf.CGroupSysctl {
			continue
		}
		count++
		var stores []string
		for _, ins := range program.Instructions {
			if ins.OpCode.Class().IsStore() && ins.Dst != asm.RFP && ins.OpCode.Mode() == asm.MemMode {
				stores = append(stores, ins.OpCode.Class().String())
				if ins.Offset != filePos || ins.OpCode.Size() != asm.Word {
					t.Errorf("%s stores elsewhere than in file_pos: %v", name, ins)
				}
			}
		}
		if got := strings.Join(stores, " "); got != asm.StXClass.String() {
			t.Errorf("%s: stores outside of the stack: %q, want one %s", name, got, asm.StXClass)
		}
	}
	if count != 4 {
		t.Errorf("%d programs for sysctls, want 4", count)
	}
}
