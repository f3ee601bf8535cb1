package doctor

import (
	"fmt"
	"strconv"

	"github.com/ctkeeper/ctkeeper/config"
)

const (
	// longEstablished is a day in seconds; the kernel's own is five.
	longEstablished = 24 * 60 * 60
	halfFull        = 50 // percent
)

// maxOverMemory holds what a full table takes against the memory.
func maxOverMemory(h *Host) []Finding {
	if h.Figures.Max == nil || *h.Figures.Max <= 0 || h.MemTotal <= 0 {
		return nil
	}
	limit := *h.Figures.Max
	// Divided, because max can be so large that its bytes are no int64.
	if limit <= h.MemTotal/memoryShare/entryBytes {
		return nil
	}
	f := Finding{
		ID: "max-over-memory", Severity: Warning,
		Summary:  fmt.Sprintf("a full connection table would take %s of %s memory", config.FormatBytes(limit*entryBytes), config.FormatBytes(h.MemTotal)),
		Evidence: []Evidence{seen(maxFile, 0, strconv.FormatInt(limit, 10)), seen(meminfoFile, 0, fmt.Sprintf("MemTotal: %d kB", h.MemTotal>>10))},
	}
	if limit > h.MemTotal/entryBytes {
		f.Severity = Error
	}
	most := h.mostEntries()
	switch {
	case h.Place.ChildNetns:
		f.Note = "max belongs to the host's first network namespace."
	case h.Figures.Entries != nil && *h.Figures.Entries*100 >= most*fillingShare:
		f.Note = fmt.Sprintf("A quarter of the memory holds %d connections, and there are %d now: shorten the timeouts, or give the host more memory.", most, *h.Figures.Entries)
	default:
		f.Fix = h.configure("max", []entry{{"max", strconv.FormatInt(most, 10)}}, nil)
	}
	return []Finding{f}
}

// hashsizeOverMemory holds what the hash table takes against the memory.
func hashsizeOverMemory(h *Host) []Finding {
	if h.Figures.Buckets == nil || h.MemTotal <= 0 || *h.Figures.Buckets <= h.MemTotal/memoryShare/bucketBytes {
		return nil
	}
	buckets := *h.Figures.Buckets
	f := Finding{
		ID: "hashsize-over-memory", Severity: Warning,
		Summary:  fmt.Sprintf("the hash table takes %s of %s memory, however few connections there are", config.FormatBytes(buckets*bucketBytes), config.FormatBytes(h.MemTotal)),
		Evidence: []Evidence{seen(bucketsFile, 0, strconv.FormatInt(buckets, 10)), seen(meminfoFile, 0, fmt.Sprintf("MemTotal: %d kB", h.MemTotal>>10))},
	}
	if h.Figures.Max != nil && *h.Figures.Max > 0 {
		f.Fix = h.raiseHashsize(min(*h.Figures.Max, h.mostEntries()))
	}
	return []Finding{f}
}

// establishedTimeout finds that TCP connections whose peers went away stay for days.
func establishedTimeout(h *Host) []Finding {
	seconds, err := strconv.ParseInt(h.Settings["tcp_timeout_established"], 10, 64)
	if err != nil || seconds <= longEstablished {
		return nil
	}
	f := Finding{
		ID: "established-timeout-long", Severity: Info,
		Summary:  fmt.Sprintf("TCP connections that fell silent stay in the table for %s", period(seconds)),
		Evidence: []Evidence{seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, strconv.FormatInt(seconds, 10))},
	}
	if h.use() > halfFull {
		f.Severity = Warning
		f.Evidence = append(f.Evidence, seen(countFile, 0, strconv.FormatInt(*h.Figures.Entries, 10)), seen(maxFile, 0, strconv.FormatInt(*h.Figures.Max, 10)))
		f.Fix = h.configure("timeouts", []entry{{"tcp_timeout_established", "24h"}}, nil)
		f.Note = "The table is more than half full. A shorter timeout counts for a connection from its next packet on; it must be longer than the keepalive of what runs here (two hours by default)."
	}
	return []Finding{f}
}

// otherTimeouts finds timeouts that are far above the kernel's own.
func otherTimeouts(h *Host) []Finding {
	f := Finding{ID: "timeouts-long", Severity: Info, Summary: "timeouts are far longer than the kernel's own, and keep dead connections in the table"}
	var settings []entry
	for _, timeout := range []struct {
		name       string
		own, limit int64 // seconds
	}{
		{"generic_timeout", 600, 3600},
		{"udp_timeout", 30, 300},
		{"udp_timeout_stream", 120, 900},
		{"icmp_timeout", 30, 300},
		{"tcp_timeout_syn_sent", 120, 600},
		{"tcp_timeout_close_wait", 60, 3600},
		{"tcp_timeout_time_wait", 120, 600},
	} {
		if seconds, err := strconv.ParseInt(h.Settings[timeout.name], 10, 64); err == nil && seconds > timeout.limit {
			f.Evidence = append(f.Evidence, seen("/proc/sys/net/netfilter/nf_conntrack_"+timeout.name, 0,
				fmt.Sprintf("%d (the kernel's own is %d)", seconds, timeout.own)))
			settings = append(settings, entry{timeout.name, strconv.FormatInt(timeout.own, 10)})
		}
	}
	if len(settings) == 0 {
		return nil
	}
	if h.use() > halfFull {
		f.Severity, f.Fix = Warning, h.configure("timeouts-short", settings, nil)
	}
	return []Finding{f}
}

// period is a number of seconds for people.
func period(seconds int64) string {
	switch {
	case seconds%86400 == 0:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds >= 2*86400:
		return fmt.Sprintf("more than %d days", seconds/86400)
	}
	return fmt.Sprintf("more than %d hours", seconds/3600)
}

// tableCounters tells of counters that look like losses and mostly are none.
func tableCounters(h *Host) []Finding {
	f := Finding{ID: "table-counters", Severity: Info, Summary: "counters of the connection table that look like losses, and mostly are none"}
	for _, c := range []entry{
		{"insert_failed", "an entry was there already, as when two first packets of one flow race"},
		{"search_restart", "look-ups that began anew because the hash table was being resized or the chain changed under them"},
	} {
		if n := h.Counters[c.key]; n > 0 {
			f.Evidence = append(f.Evidence, seen(countersFile, 0, fmt.Sprintf("%s = %d: %s", c.key, n, c.value)))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	return []Finding{f}
}
