package status

// Counter explains one of the kernel's counters (/proc/net/stat/nf_conntrack).
type Counter struct {
	// Name is its name in the kernel, and Word the one in every view.
	Name string `json:"name"`
	Word string `json:"word"`
	// Meaning explains it in a sentence.
	Meaning string `json:"meaning"`
	// IsLoss is true for lost packets and connections.
	IsLoss bool `json:"is_loss"`
}

// Counters returns the counters that a reader has to know, those of lost packets and connections first. Kernels
// have others as well, some of which stay 0 (ct_cpu_seq_show in nf_conntrack_standalone.c).
func Counters() []Counter {
	return []Counter{
		{"drop", "dropped", "packets dropped: the table was full, memory was short, a helper dropped them, or a " +
			"race was lost", true},
		{"early_drop", "evicted", "connections without a reply, evicted for new ones; nothing was dropped", true},
		{"chainlength", "refused for a long chain", "connections refused: their hash chain was too long", true},
		{"insert_failed", "lost races", "packets whose connection another packet had just inserted", true},
		{"clashres", "resolved races", "such races in which nothing was lost", false},
		{"invalid", "invalid", "packets that fit no connection; the rules decide what becomes of them", false},
		{"search_restart", "restarted lookups", "lookups that began again: the table was changed meanwhile", false},
		{"icmp_error", "ICMP errors", "ICMP errors that could not be tracked", false},
		{"expect_new", "expected connections", "packets that began an expected connection", false},
		{"expect_create", "created expectations", "expectations that helpers made", false},
		{"expect_delete", "deleted expectations", "expectations that ended", false},
	}
}
