package klog

import "strings"

// TableFull reports whether a message is the kernel's report that it dropped the packet of a new connection
// because the connection table is full (__nf_conntrack_alloc). The text is "nf_conntrack: table full,
// dropping packet". Later kernels have the module's name twice. The latest add "in netns N" for the table of
// another network namespace than the initial one. The oldest have "ip_conntrack: …". The kernel limits the
// rate of the message, so there are fewer messages than drops.
func TableFull(text string) bool {
	rest, ok := cutConntrack(text)
	return ok && strings.HasPrefix(rest, "table full") && strings.Contains(rest, ", dropping packet")
}

// ExpectationTableFull reports whether a message is the kernel's report that it refused an expectation of a
// helper because the expectation table is full (__nf_ct_expect_check): "nf_conntrack: expectation table
// full". The kernel limits its rate. What the helper then logs does not count ("nf_ct_sip: dropping packet:
// all ports in use for SDP media", "cannot add expectation"): it comes for the same packet, and for other
// reasons too.
func ExpectationTableFull(text string) bool {
	rest, ok := cutConntrack(text)
	return ok && strings.HasPrefix(rest, "expectation table full")
}

// cutConntrack returns a message without its "nf_conntrack: " or "ip_conntrack: ", and whether it had one. On
// some kernels pr_fmt puts it there a second time.
func cutConntrack(text string) (string, bool) {
	found := false
	for {
		rest, ok := strings.CutPrefix(text, "nf_conntrack: ")
		if !ok {
			rest, ok = strings.CutPrefix(text, "ip_conntrack: ")
		}
		if !ok {
			return text, found
		}
		text, found = rest, true
	}
}
