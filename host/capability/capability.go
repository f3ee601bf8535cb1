package capability

import "golang.org/x/sys/unix"

// Held reports whether the calling thread has a capability in effect, by its number:
// unix.CAP_NET_ADMIN. It is false as well where the kernel does not tell (capget(2)).
func Held(number int) bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[number/32].Effective&(1<<(number%32)) != 0
}
