package sizing

import (
	"fmt"
	"strconv"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// longEstablished is a day in seconds; the kernel's own is five.
const longEstablished = 24 * 60 * 60

const halfFull = 50 // percent

// checkEstablished finds that TCP connections whose peers went away stay for days.
func checkEstablished(h *picture.Host) []finding.Finding {
	seconds, err := strconv.ParseInt(h.Settings["tcp_timeout_established"], 10, 64)
	if err != nil || seconds <= longEstablished {
		return nil
	}
	f := finding.Finding{
		ID: "established-timeout-long", Severity: finding.Info,
		Summary:  fmt.Sprintf("TCP connections that fell silent stay in the table for %s", formatPeriod(seconds)),
		Evidence: []finding.Evidence{finding.Seen("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established", 0, strconv.FormatInt(seconds, 10))},
	}
	if usePercent(h) > halfFull {
		f.Severity = finding.Warning
		f.Evidence = append(f.Evidence, finding.Seen(picture.CountFile, 0, strconv.FormatInt(*h.Figures.Entries, 10)), finding.Seen(picture.MaxFile, 0, strconv.FormatInt(*h.Figures.Max, 10)))
		f.Fix = fixes.Configure(h, "timeouts", []fixes.Entry{{"tcp_timeout_established", "24h"}}, nil)
		f.Note = "The table is more than half full. A shorter timeout counts for a connection from its next packet on; it must be longer than the keepalive of what runs here (two hours by default)."
	}
	return []finding.Finding{f}
}

// checkTimeouts finds timeouts that are far above the kernel's own.
func checkTimeouts(h *picture.Host) []finding.Finding {
	f := finding.Finding{ID: "timeouts-long", Severity: finding.Info, Summary: "timeouts are far longer than the kernel's own, and keep dead connections in the table"}
	var settings []fixes.Entry
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
			f.Evidence = append(f.Evidence, finding.Seen("/proc/sys/net/netfilter/nf_conntrack_"+timeout.name, 0,
				fmt.Sprintf("%d (the kernel's own is %d)", seconds, timeout.own)))
			settings = append(settings, fixes.Entry{timeout.name, strconv.FormatInt(timeout.own, 10)})
		}
	}
	if len(settings) == 0 {
		return nil
	}
	if usePercent(h) > halfFull {
		f.Severity, f.Fix = finding.Warning, fixes.Configure(h, "timeouts-short", settings, nil)
	}
	return []finding.Finding{f}
}

// formatPeriod is a number of seconds for people.
func formatPeriod(seconds int64) string {
	switch {
	case seconds%86400 == 0:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds >= 2*86400:
		return fmt.Sprintf("more than %d days", seconds/86400)
	}
	return fmt.Sprintf("more than %d hours", seconds/3600)
}

// checkCounters tells of counters that look like losses and mostly are none.
func checkCounters(h *picture.Host) []finding.Finding {
	f := finding.Finding{ID: "table-counters", Severity: finding.Info, Summary: "counters of the connection table that look like losses, and mostly are none"}
	for _, c := range []struct{ name, meaning string }{
		{"insert_failed", "an entry was there already, as when two first packets of one flow race"},
		{"search_restart", "look-ups that began anew because the hash table was being resized or the chain changed under them"},
	} {
		if n := h.Counters[c.name]; n > 0 {
			f.Evidence = append(f.Evidence, finding.Seen(picture.CountersFile, 0, fmt.Sprintf("%s = %d: %s", c.name, n, c.meaning)))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	return []finding.Finding{f}
}
