package sizing

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// maxStep is what a suggested max is a multiple of.
const maxStep = 1024

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return append(finding.Merge(h.Run(checkUse, checkDrops)), h.Run(checkUnlimited, checkLoadFactor, checkChains,
		checkMaxMemory, checkHashsizeMemory, checkEstablished, checkTimeouts, checkCounters)...)
}

// seen returns a number in a file as evidence.
func seen(file string, n int64) finding.Evidence {
	return finding.Seen(file, 0, strconv.FormatInt(n, 10))
}

// checkUse compares the number of connections with max.
func checkUse(h *picture.Host) []finding.Finding {
	if h.Figures.Entries == nil || h.Figures.Max == nil || *h.Figures.Max <= 0 {
		return nil
	}
	count, limit := *h.Figures.Entries, *h.Figures.Max
	f := finding.Finding{
		Summary:  fmt.Sprintf("the connection table is %d %% full: %d of %d", count*100/limit, count, limit),
		Evidence: []finding.Evidence{seen(picture.CountFile, count), seen(picture.MaxFile, limit)},
	}
	switch {
	case count*100 >= limit*picture.FullPercent:
		f.ID, f.Severity = "table-full", finding.Error
	case count*100 >= limit*picture.FillingPercent:
		f.ID, f.Severity = "table-filling", finding.Warning
	default:
		return nil
	}
	f.Fix, f.Note = raiseMax(h)
	return []finding.Finding{f}
}

// usePercent returns how full the connection table is, in percent; 0 where it is not known.
func usePercent(h *picture.Host) int64 {
	if h.Figures.Entries == nil || h.Figures.Max == nil || *h.Figures.Max <= 0 {
		return 0
	}
	return *h.Figures.Entries * 100 / *h.Figures.Max
}

// checkDrops reports that the table was full: by the kernel's log, and by the counters of connections
// that were refused or evicted because the table was full.
func checkDrops(h *picture.Host) []finding.Finding {
	messages := h.CountMessages(fullText)
	f := finding.Finding{
		ID: "table-drops", Severity: finding.Warning,
		Summary: "the connection table was full: connections were evicted or refused",
	}
	for _, message := range messages {
		f.Severity, f.Evidence = finding.Error, append(f.Evidence, message.Evidence())
	}
	f.Evidence = append(f.Evidence, counters(h, [][2]string{
		{"early_drop", "connections evicted to make room"},
		{"drop", "packets dropped because no connection could be created, or by a helper"},
	})...)
	if len(f.Evidence) == 0 {
		return nil
	}
	if h.IsApplied("max") && usePercent(h) < picture.FillingPercent && !h.HasMessageSinceConfig(messages) {
		f.Severity = finding.Info
		f.Note = "The configuration was changed since, and its value is applied. " +
			"The counters start with the load of the module: check whether they still grow."
		return []finding.Finding{f}
	}
	f.Fix, f.Note = raiseMax(h)
	return []finding.Finding{f}
}

// fullText returns the message of a full table; "" for other messages. Some kernels write their prefix
// twice.
func fullText(text string) string {
	if !klog.TableFull(text) {
		return ""
	}
	text = strings.TrimRight(text, ". \n")
	return strings.Replace(text, "nf_conntrack: nf_conntrack: ", "nf_conntrack: ", 1)
}

// counters returns the counters that are not zero, each with its meaning.
func counters(h *picture.Host, meanings [][2]string) []finding.Evidence {
	var all []finding.Evidence
	for _, c := range meanings {
		if n := h.Counters[c[0]]; n > 0 {
			all = append(all, finding.Seen(picture.CountersFile, 0, fmt.Sprintf("%s = %d: %s", c[0], n, c[1])))
		}
	}
	return all
}

// checkCounters explains counters that look like losses and mostly are not.
func checkCounters(h *picture.Host) []finding.Finding {
	evidence := counters(h, [][2]string{
		{"insert_failed", "the entry existed already, for example when the first two packets of a flow race"},
		{"search_restart", "lookups that restarted because the hash table was resized, or the chain changed under " +
			"them"},
	})
	if len(evidence) == 0 {
		return nil
	}
	return []finding.Finding{{
		ID: "table-counters", Severity: finding.Info, Evidence: evidence,
		Summary: "counters of the connection table that look like losses, and mostly are not",
	}}
}

// raiseMax returns the commands that at least double max, until the present use is under half of it.
// hashsize is raised with it. They never use more than a quarter of the memory.
func raiseMax(h *picture.Host) (fix []finding.Step, note string) {
	if h.Env.ChildNetns {
		return nil, "max belongs to the host's initial network namespace: raise it on the host. It limits each " +
			"namespace separately."
	}
	needed := int64(1)
	if h.Figures.Max != nil {
		needed = max(needed, *h.Figures.Max*2)
	}
	for h.Figures.Entries != nil && *h.Figures.Entries*2 >= needed {
		needed *= 2
	}
	if fix, note = fixes.EnforceAtLeast(h, sysfs.Max, needed); len(fix) > 0 {
		return fix, note
	}
	if h.MemTotal > 0 && needed > mostEntries(h) {
		return nil, fmt.Sprintf("Twice as many connections would take more than a quarter of the memory (%s): "+
			"shorten the timeouts, or give the host more memory.", config.FormatBytes(h.MemTotal))
	}
	buckets := needed
	if h.Figures.Buckets != nil {
		buckets = max(buckets, *h.Figures.Buckets)
	}
	settings := []fixes.Entry{{"max", strconv.FormatInt(needed, 10)}, {"hashsize", strconv.FormatInt(buckets, 10)}}
	size := config.FormatBytes(needed*sysfs.EntryBytes + buckets*sysfs.BucketBytes)
	return fixes.Configure(h, "table", settings, nil), fmt.Sprintf("A full table of %d connections takes %s.",
		needed, size)
}

// mostEntries returns how many connections fit in a quarter of the memory.
func mostEntries(h *picture.Host) int64 {
	n := h.MemTotal / sysfs.TableShare / sysfs.EntryBytes
	return max(maxStep, n-n%maxStep)
}
