package rig

import "syscall"

// dieWithParent makes the kernel kill the child when the parent ends, for whatever reason (PR_SET_PDEATHSIG,
// prctl(2)).
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
