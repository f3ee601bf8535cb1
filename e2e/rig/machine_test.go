package rig

import "testing"

func TestEmulatorFault(t *testing.T) {
	const rsp = "RSP: 0018:ff5fb2b5407138e0 "
	tests := []struct {
		name, console string
		want          bool
	}{
		{"an empty console", "", false},
		{"a clean end", "[    3.1] reboot: Power down\n", false},
		{"an int3 that the kernel had patched away", "[    2.5] int3: 0000 [#1] PREEMPT SMP\n", true},
		{"impossible flags", "Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI\n" + rsp + "EFLAGS: 1d071642\n", true},
		{"possible flags", "Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI\n" + rsp + "EFLAGS: 00010246\n", false},
		{"another oops", "BUG: kernel NULL pointer dereference\nOops: 0000 [#1]\n" + rsp + "EFLAGS: 00010246\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := hasEmulatorFault(test.console); got != test.want {
				t.Errorf("hasEmulatorFault = %t, want %t", got, test.want)
			}
		})
	}
}
