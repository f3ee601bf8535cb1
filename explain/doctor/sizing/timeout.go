package sizing

import (
	"fmt"
	"strconv"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

const (
	// longEstablished is a day in seconds. The kernel's default is five days.
	longEstablished = 24 * 60 * 60
	halfFull        = 50 // percent

	timeoutFile = "/proc/sys/net/netfilter/nf_conntrack_"
)

// checkEstablished reports that TCP connections whose peers are gone stay for days.
func checkEstablished(h *picture.Host) []finding.Finding {
	const name = "tcp_timeout_established"
	seconds, err := strconv.ParseInt(h.Settings[name], 10, 64)
	if err != nil || seconds <= longEstablished {
		return nil
	}
	f := finding.Finding{
		ID: "established-timeout-long", Severity: finding.Info, Evidence: []finding.Evidence{seen(timeoutFile+name,
			seconds)},
		Summary: "idle TCP connections stay in the table for " + formatPeriod(seconds),
	}
	if usePercent(h) > halfFull {
		f.Severity = finding.Warning
		f.Evidence = append(f.Evidence, seen(picture.CountFile, *h.Figures.Entries), seen(picture.MaxFile,
			*h.Figures.Max))
		f.Fix = fixes.Configure(h, "timeouts", []fixes.Entry{{name, "24h"}}, nil)
		f.Note = "The table is more than half full. A shorter timeout applies to a connection from its next packet " +
			"on. " +
			"It must be longer than the keepalive interval of the programs that run here (two hours by default)."
	}
	return []finding.Finding{f}
}

// checkTimeouts reports timeouts that are far above the kernel's defaults.
func checkTimeouts(h *picture.Host) []finding.Finding {
	f := finding.Finding{
		ID: "timeouts-long", Severity: finding.Info,
		Summary: "timeouts are far above the kernel's defaults, and keep dead connections in the table",
	}
	var settings []fixes.Entry
	for _, timeout := range []struct {
		name              string
		standard, highest int64 // seconds
	}{
		{"generic_timeout", 600, 3600},
		{"udp_timeout", 30, 300},
		{"udp_timeout_stream", 120, 900},
		{"icmp_timeout", 30, 300},
		{"tcp_timeout_syn_sent", 120, 600},
		{"tcp_timeout_close_wait", 60, 3600},
		{"tcp_timeout_time_wait", 120, 600},
	} {
		if seconds, err := strconv.ParseInt(h.Settings[timeout.name], 10, 64); err == nil && seconds > timeout.highest {
			text := fmt.Sprintf("%d (the kernel's default is %d)", seconds, timeout.standard)
			f.Evidence = append(f.Evidence, finding.Seen(timeoutFile+timeout.name, 0, text))
			settings = append(settings, fixes.Entry{timeout.name, strconv.FormatInt(timeout.standard, 10)})
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

// formatPeriod returns a number of seconds in days or hours.
func formatPeriod(seconds int64) string {
	switch {
	case seconds%86400 == 0:
		return fmt.Sprintf("%d days", seconds/86400)
	case seconds >= 2*86400:
		return fmt.Sprintf("more than %d days", seconds/86400)
	}
	return fmt.Sprintf("more than %d hours", seconds/3600)
}
