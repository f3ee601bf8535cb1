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

const entryBytes = 384 // a struct nf_conn with its extensions, at most

const bucketBytes = 8 // one pointer

// memoryShare is the part of RAM that the table may take without a word: 1/4.
const memoryShare = 4

// maxStep is what a suggested max is a multiple of.
const maxStep = 1024

// The load factor, max / buckets. The kernel makes it 1 since 5.15, 4 before, and
// 8 where hashsize= is given as the module is loaded. A connection is in the table
// twice, once for each direction: at 8 a full table has 16 entries in a bucket,
// and every packet walks them.
const highLoad = 4

const tooHighLoad = 8

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding {
	return append(finding.Merge(h.Run(checkUse, checkDrops)), h.Run(checkUnlimited, checkLoadFactor, checkChains,
		checkMaxMemory, checkHashsizeMemory, checkEstablished, checkTimeouts, checkCounters)...)
}

// checkUse holds the number of connections against max.
func checkUse(h *picture.Host) []finding.Finding {
	if h.Figures.Entries == nil || h.Figures.Max == nil || *h.Figures.Max <= 0 {
		return nil
	}
	count, limit := *h.Figures.Entries, *h.Figures.Max
	f := finding.Finding{
		Evidence: []finding.Evidence{finding.Seen(picture.CountFile, 0, strconv.FormatInt(count, 10)), finding.Seen(picture.MaxFile, 0, strconv.FormatInt(limit, 10))},
	}
	switch {
	case count*100 >= limit*picture.FullPercent:
		f.ID, f.Severity = "table-full", finding.Error
	case count*100 >= limit*picture.FillingPercent:
		f.ID, f.Severity = "table-filling", finding.Warning
	default:
		return nil
	}
	f.Summary = fmt.Sprintf("the connection table is %d %% full: %d of %d", count*100/limit, count, limit)
	f.Fix, f.Note = raiseMax(h)
	return []finding.Finding{f}
}

// checkDrops finds that the table was full: in the kernel's log, and in the counters
// of connections that were refused or thrown out for want of room.
func checkDrops(h *picture.Host) []finding.Finding {
	all := h.CountMessages(fullMessage)
	f := finding.Finding{ID: "table-drops", Severity: finding.Warning, Summary: "the connection table was full: connections were thrown out or refused"}
	for _, t := range all {
		f.Severity, f.Evidence = finding.Error, append(f.Evidence, t.Evidence())
	}
	for _, c := range []struct{ name, meaning string }{
		{"early_drop", "connections thrown out to make room"},
		{"drop", "packets dropped because no connection could be made, or by a helper"},
	} {
		if n := h.Counters[c.name]; n > 0 {
			f.Evidence = append(f.Evidence, finding.Seen(picture.CountersFile, 0, fmt.Sprintf("%s = %d: %s", c.name, n, c.meaning)))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if h.IsApplied("max") && usePercent(h) < picture.FillingPercent && !h.HasMessageSinceConfig(all) {
		f.Severity = finding.Info
		f.Note = "The configuration was changed since, and what it asks for is in force. The counters begin with the load of the module: look whether they still grow."
		return []finding.Finding{f}
	}
	f.Fix, f.Note = raiseMax(h)
	return []finding.Finding{f}
}

// fullMessage names the message of a full table, so that the same ones are counted
// together; some kernels say their name twice.
func fullMessage(text string) string {
	if !klog.TableFull(text) {
		return ""
	}
	text = strings.TrimRight(text, ". \n")
	return strings.Replace(text, "nf_conntrack: nf_conntrack: ", "nf_conntrack: ", 1)
}

// usePercent is how full the connection table is, in percent; 0 where nobody can tell.
func usePercent(h *picture.Host) int64 {
	if h.Figures.Entries == nil || h.Figures.Max == nil || *h.Figures.Max <= 0 {
		return 0
	}
	return *h.Figures.Entries * 100 / *h.Figures.Max
}

// raiseMax gives the commands that raise max until the present use is under half of
// it, and to twice what it is at least; hashsize goes with it. It raises nothing over
// a quarter of the memory.
func raiseMax(h *picture.Host) (fix []string, note string) {
	if h.Env.ChildNetns {
		return nil, "max belongs to the host's first network namespace: raise it there, on the host. It counts for each namespace by itself."
	}
	needed := int64(1)
	if h.Figures.Max != nil {
		needed = max(needed, *h.Figures.Max*2)
	}
	for h.Figures.Entries != nil && *h.Figures.Entries*2 >= needed {
		needed *= 2
	}
	if w, asked := h.Want("max"); asked && !h.IsApplied("max") {
		if n, ok := w.Value.Int(); ok && n >= needed {
			return []string{fixes.Enforce(h)}, fmt.Sprintf("The configuration asks for %d (%s), and that is not in force.", n, w.Origin)
		}
	}
	if h.MemTotal > 0 && needed > mostEntries(h) {
		return nil, fmt.Sprintf("Twice as many connections would take over a quarter of the memory (%s): shorten the timeouts, or give the host more memory.", config.FormatBytes(h.MemTotal))
	}
	buckets := needed
	if h.Figures.Buckets != nil {
		buckets = max(buckets, *h.Figures.Buckets)
	}
	return fixes.Configure(h, "table", []fixes.Entry{{"max", strconv.FormatInt(needed, 10)}, {"hashsize", strconv.FormatInt(buckets, 10)}}, nil),
		fmt.Sprintf("A full table of %d connections takes %s.", needed, config.FormatBytes(needed*entryBytes+buckets*bucketBytes))
}

// mostEntries is how many connections fit in a quarter of the memory.
func mostEntries(h *picture.Host) int64 {
	n := h.MemTotal / memoryShare / entryBytes
	return max(maxStep, n-n%maxStep)
}

// checkUnlimited finds max = 0, which kernels up to 6.12 take for "no limit".
func checkUnlimited(h *picture.Host) []finding.Finding {
	if h.Figures.Max == nil || *h.Figures.Max != 0 {
		return nil
	}
	f := finding.Finding{
		ID: "max-unlimited", Severity: finding.Warning, Summary: "max is 0: the connection table has no limit, and can take all memory",
		Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, "0")},
	}
	if !h.Env.ChildNetns {
		f.Fix = fixes.Configure(h, "max", []fixes.Entry{{"max", "auto"}}, nil)
	}
	return []finding.Finding{f}
}

// checkLoadFactor holds max against the buckets.
func checkLoadFactor(h *picture.Host) []finding.Finding {
	if h.Figures.Buckets == nil || h.Figures.Max == nil || *h.Figures.Buckets <= 0 || *h.Figures.Max <= highLoad**h.Figures.Buckets {
		return nil
	}
	limit, buckets := *h.Figures.Max, *h.Figures.Buckets
	f := finding.Finding{
		ID: "load-factor", Severity: finding.Info,
		Summary:  fmt.Sprintf("%d connections for each hash bucket: a full table has chains of %d entries, which every packet walks", limit/buckets, 2*limit/buckets),
		Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, strconv.FormatInt(limit, 10)), finding.Seen(picture.BucketsFile, 0, strconv.FormatInt(buckets, 10))},
		Note:     "Each connection is in the table twice, once for each direction. The kernel itself takes 1 connection a bucket since 5.15, and 8 where hashsize= is given as the module is loaded.",
	}
	if limit > tooHighLoad*buckets {
		f.Severity = finding.Warning
		f.Fix = raiseHashsize(h, limit)
	}
	return []finding.Finding{f}
}

// checkChains finds connections that were refused because the chain of their bucket
// was too long: what kernels that have the column chainlength count there.
func checkChains(h *picture.Host) []finding.Finding {
	n := h.Counters["chainlength"]
	if n == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "chains-too-long", Severity: finding.Warning, Summary: "connections were refused because the chain of their hash bucket was too long",
		Evidence: []finding.Evidence{finding.Seen(picture.CountersFile, 0, fmt.Sprintf("chainlength = %d", n))},
	}
	if h.Figures.Max != nil && h.Figures.Buckets != nil {
		f.Evidence = append(f.Evidence, finding.Seen(picture.MaxFile, 0, strconv.FormatInt(*h.Figures.Max, 10)), finding.Seen(picture.BucketsFile, 0, strconv.FormatInt(*h.Figures.Buckets, 10)))
		if h.IsApplied("hashsize") && *h.Figures.Buckets >= *h.Figures.Max {
			f.Severity, f.Note = finding.Info, "There is a bucket for each connection now. The counter begins with the load of the module: look whether it still grows."
			return []finding.Finding{f}
		}
		f.Fix = raiseHashsize(h, *h.Figures.Max)
	}
	return []finding.Finding{f}
}

// raiseHashsize gives the commands for as many buckets as max connections, in at most a
// quarter of the memory.
func raiseHashsize(h *picture.Host, limit int64) []string {
	if h.Env.ChildNetns || limit <= 0 {
		return nil
	}
	if h.MemTotal > 0 {
		step := sysfs.RoundHashsize(1)
		most := h.MemTotal / memoryShare / bucketBytes
		limit = min(limit, most-most%step)
	}
	return fixes.Configure(h, "hashsize", []fixes.Entry{{"hashsize", strconv.FormatInt(limit, 10)}}, nil)
}
