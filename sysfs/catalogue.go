package sysfs

import "math"

// The names of the settings that the code treats by name.
const (
	Hashsize  = "hashsize"
	Max       = "max"
	ExpectMax = "expect_max"

	// ExpectHashsize is the load-time parameter that sizes the expectation table. There is no setting of that name.
	ExpectHashsize = "expect_hashsize"
)

// catalogue lists every setting. Ranges are those of the kernel's ctl_table entries; where
// kernels differ, the running kernel decides.
var catalogue = []*Setting{
	{
		Name: Hashsize, Alias: "buckets", Kind: Count, Min: 1, Max: MaxBuckets, Global: true, step: true,
		file: sysctlDir + "/nf_conntrack_buckets", param: paramsDir + "/hashsize",
		Doc: "Number of hash buckets of the connection table, 8 bytes each. " +
			"The kernel rounds it up to whole pages (a page holds page size / 8 buckets).",
	},
	{
		Name: Max, Kind: Count, Max: maxInt, Ceiling: Hashsize, Global: true, ZeroIsNoLimit: true,
		file: sysctlFile(Max),
		Doc: "Most connections the table may hold, counted per network namespace; about 384 bytes each. " +
			"0 is no limit, and refused by 7.2.",
	},
	{
		Name: ExpectMax, Kind: Count, Min: 1, Max: maxInt, Global: true, file: sysctlFile(ExpectMax),
		Doc: "Most expectations, the connections that helpers (SIP, FTP, …) announce, at one time.",
	},
	boolean("acct", "Count packets and bytes of each connection."),
	boolean("timestamp", "Note when each connection began and ended."),
	boolean("checksum", "Verify checksums of incoming packets; bad ones are invalid."),
	{
		Name: "events", Kind: Count, Max: 2, file: sysctlFile("events"),
		Doc: "Events over ctnetlink: 0 none, 1 all, 2 only while somebody listens (since 6.0).",
	},
	{
		Name: "log_invalid", Kind: Count, Max: 255, file: sysctlFile("log_invalid"),
		Doc: "Log invalid packets: 0 none, 255 all, else of this IP protocol number.",
	},
	{
		Name: "helper", Kind: Bool, Max: 1, Until: "5.19", file: sysctlFile("helper"),
		Doc: "Attach helpers to connections by port without a rule.",
	},
	seconds("generic_timeout", "Timeout of protocols without a tracker of their own."),
	seconds("tcp_timeout_syn_sent", "Timeout of a TCP connection after the first SYN."),
	seconds("tcp_timeout_syn_recv", "Timeout of a TCP connection after the SYN+ACK."),
	seconds(
		"tcp_timeout_established",
		"Timeout of an established TCP connection without traffic; the kernel's own is 5 days.",
	),
	seconds("tcp_timeout_fin_wait", "Timeout of a TCP connection after a first FIN."),
	seconds("tcp_timeout_close_wait", "Timeout of a TCP connection that waits for the second FIN."),
	seconds("tcp_timeout_last_ack", "Timeout of a TCP connection that waits for the last ACK."),
	seconds("tcp_timeout_time_wait", "Timeout of a TCP connection that both sides have closed."),
	seconds("tcp_timeout_close", "Timeout of a TCP connection after a RST."),
	seconds(
		"tcp_timeout_max_retrans",
		"Timeout of a TCP connection after tcp_max_retrans retransmissions without an answer.",
	),
	seconds("tcp_timeout_unacknowledged", "Timeout of a TCP connection with data that nobody acknowledged."),
	boolean("tcp_loose", "Pick up TCP connections that were established before they were tracked."),
	boolean("tcp_be_liberal", "Call only RSTs out of the window invalid, not all packets out of it."),
	{
		Name: "tcp_ignore_invalid_rst", Kind: Bool, Max: 1, Since: "5.14", file: sysctlFile("tcp_ignore_invalid_rst"),
		Doc: "Do not call RSTs out of the window invalid.",
	},
	{
		Name: "tcp_max_retrans", Kind: Count, Max: 255, file: sysctlFile("tcp_max_retrans"),
		Doc: "Retransmissions without an answer after which tcp_timeout_max_retrans holds.",
	},
	seconds("udp_timeout", "Timeout of UDP seen in one direction, or briefly in both."),
	seconds("udp_timeout_stream", "Timeout of UDP that went both ways for longer than two seconds."),
	seconds("icmp_timeout", "Timeout of an ICMP exchange."),
	seconds("icmpv6_timeout", "Timeout of an ICMPv6 exchange."),
	seconds("sctp_timeout_closed", "Timeout of a closed SCTP association."),
	seconds("sctp_timeout_cookie_wait", "Timeout of an SCTP association after the INIT."),
	seconds("sctp_timeout_cookie_echoed", "Timeout of an SCTP association after the COOKIE ECHO."),
	seconds("sctp_timeout_established", "Timeout of an established SCTP association."),
	seconds("sctp_timeout_shutdown_sent", "Timeout of an SCTP association after its SHUTDOWN."),
	seconds("sctp_timeout_shutdown_recd", "Timeout of an SCTP association after the peer's SHUTDOWN."),
	seconds("sctp_timeout_shutdown_ack_sent", "Timeout of an SCTP association after the SHUTDOWN ACK."),
	seconds("sctp_timeout_heartbeat_sent", "Timeout of a secondary SCTP path after a HEARTBEAT."),
	until("6.0", seconds("sctp_timeout_heartbeat_acked", "Timeout of a secondary SCTP path after the HEARTBEAT ACK.")),
	until("6.16", boolean("dccp_loose", "Pick up DCCP connections that were established before they were tracked.")),
	until("6.16", seconds("dccp_timeout_request", "Timeout of a DCCP connection after the Request.")),
	until("6.16", seconds("dccp_timeout_respond", "Timeout of a DCCP connection after the Response.")),
	until("6.16", seconds("dccp_timeout_partopen", "Timeout of a partly open DCCP connection.")),
	until("6.16", seconds("dccp_timeout_open", "Timeout of an open DCCP connection.")),
	until("6.16", seconds("dccp_timeout_closereq", "Timeout of a DCCP connection after the CloseReq.")),
	until("6.16", seconds("dccp_timeout_closing", "Timeout of a DCCP connection after the Close.")),
	until("6.16", seconds("dccp_timeout_timewait", "Timeout of a DCCP connection that both sides have closed.")),
	seconds("gre_timeout", "Timeout of a GRE flow seen in one direction."),
	seconds("gre_timeout_stream", "Timeout of a GRE flow seen in both directions."),
	seconds("frag6_timeout", "How long IPv6 fragments wait for the rest (nf_defrag_ipv6)."),
	{
		Name: "frag6_high_thresh", Kind: Bytes, Max: math.MaxInt64, file: sysctlFile("frag6_high_thresh"),
		Doc: "Memory for waiting IPv6 fragments; never below frag6_low_thresh.",
	},
	{
		Name: "frag6_low_thresh", Kind: Bytes, Max: math.MaxInt64, Ceiling: "frag6_high_thresh",
		file: sysctlFile("frag6_low_thresh"),
		Doc: "Memory for waiting IPv6 fragments below which the kernel stops dropping them; " +
			"without effect since 4.17, never above frag6_high_thresh.",
	},
}

func sysctlFile(name string) string { return sysctlDir + "/" + sysctlPrefix + name }

func seconds(name, doc string) *Setting {
	return &Setting{Name: name, Kind: Seconds, Max: maxSeconds, file: sysctlFile(name), Doc: doc}
}

func boolean(name, doc string) *Setting {
	return &Setting{Name: name, Kind: Bool, Max: 1, file: sysctlFile(name), Doc: doc}
}

func until(kernel string, s *Setting) *Setting {
	s.Until = kernel
	return s
}
