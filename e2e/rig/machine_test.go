package rig

import "testing"

func TestEmulatorFault(t *testing.T) {
	tests := []struct {
		name, console string
		want          bool
	}{
		{"nothing", "", false},
		{"a clean end", "[    3.1] reboot: Power down\n", false},
		{"an int3 that is not there", "[    2.5] int3: 0000 [#1] PREEMPT SMP\n", true},
		{"flags that no processor has", "Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI\nRSP: 0018:ff5fb2b5407138e0 EFLAGS: 1d071642\n", true},
		{"a double fault with flags as they are", "Oops: double fault: 0000 [#1] PREEMPT SMP NOPTI\nRSP: 0018:ff5fb2b5407138e0 EFLAGS: 00010246\n", false},
		{"a kernel's own oops", "BUG: kernel NULL pointer dereference\nOops: 0000 [#1]\nRSP: 0018:ff5fb2b5407138e0 EFLAGS: 00010246\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := emulatorFault(test.console); got != test.want {
				t.Errorf("emulatorFault = %t, want %t", got, test.want)
			}
		})
	}
}
