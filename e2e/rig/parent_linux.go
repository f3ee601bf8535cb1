package rig

import "syscall"

// dieWithParent has the kernel kill the child when its parent thread's process
// ends, however it ends (PR_SET_PDEATHSIG, prctl(2)).
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
