package klog

import "strings"

// TableFull recognises what the kernel says when it drops the packet of a new connection
// because the connection table is full (__nf_conntrack_alloc): "nf_conntrack: table full,
// dropping packet", with the module's name twice on later kernels, with "in netns N" on
// the latest where the table is that of another network namespace than the first;
// "ip_conntrack: …" on the oldest. The kernel limits how often it says so, so that messages
// are fewer than drops.
func TableFull(text string) bool {
	rest, ok := conntrackSays(text)
	return ok && strings.HasPrefix(rest, "table full") && strings.Contains(rest, ", dropping packet")
}

// ExpectationTableFull recognises what the kernel says when it refuses a helper an
// expectation because the expectation table is full (__nf_ct_expect_check):
// "nf_conntrack: expectation table full". It limits how often it says so. What the helper
// then says ("nf_ct_sip: dropping packet: all ports in use for SDP media", "cannot add
// expectation") is none: it comes for the same packet, and for other reasons too.
func ExpectationTableFull(text string) bool {
	rest, ok := conntrackSays(text)
	return ok && strings.HasPrefix(rest, "expectation table full")
}

// conntrackSays takes the connection tracker's name from its message; pr_fmt puts it there
// once more on some kernels.
func conntrackSays(text string) (string, bool) {
	ours := false
	for {
		rest, ok := strings.CutPrefix(text, "nf_conntrack: ")
		if !ok {
			rest, ok = strings.CutPrefix(text, "ip_conntrack: ")
		}
		if !ok {
			return text, ours
		}
		text, ours = rest, true
	}
}
