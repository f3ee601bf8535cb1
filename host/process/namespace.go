package process

import "os"

// InHostPIDs reports whether this process is in the initial pid namespace, whose inode number never changes
// (PROC_PID_INIT_INO). known is false where /proc does not show it.
func InHostPIDs() (in, known bool) {
	namespace, err := os.Readlink("/proc/self/ns/pid")
	return namespace == "pid:[4026531836]", err == nil
}
