package kmod

import "fmt"

// ProtocolModules returns the modules that bring the settings of the protocols (tcp_timeout_established) on a
// kernel: before Linux 4.19 those of IPv4 and IPv6 (nf_ct_l4proto_pernet_register), on newer ones none but
// nf_conntrack.
func ProtocolModules(release string) []string {
	if before, known := IsBefore(release, 4, 19); !before || !known {
		return nil
	}
	return []string{"nf_conntrack_ipv4", "nf_conntrack_ipv6"}
}

// IsBefore reports whether a kernel release is older than version MAJOR.MINOR. known is false for a release
// that does not begin with two numbers.
func IsBefore(release string, major, minor int) (before, known bool) {
	var a, b int
	if n, _ := fmt.Sscanf(release, "%d.%d", &a, &b); n < 2 {
		return false, false
	}
	return a < major || a == major && b < minor, true
}
