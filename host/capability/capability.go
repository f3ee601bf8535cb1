package capability

import "golang.org/x/sys/unix"

// Held reports whether the effective set of the calling thread has a capability, by its number:
// unix.CAP_NET_ADMIN. It also returns false if capget(2) fails.
func Held(number int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[number/32].Effective&(1<<(number%32)) != 0
}

// Missing is something that this process cannot do on this host.
type Missing struct {
	// What is missing: "the command of a writer".
	What string `json:"what"`
	// Why it is missing: "CAP_PERFMON is missing", "this kernel has no …".
	Why string `json:"why"`
	// Hint is how to get it; empty where only another kernel would help.
	Hint string `json:"hint,omitempty"`
	// Capability is the name of the one that is missing, empty where the reason is another.
	Capability string `json:"-"`
}
