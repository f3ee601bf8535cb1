package doctor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/klog"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	maxFile      = "/proc/sys/net/netfilter/nf_conntrack_max"
	countFile    = "/proc/sys/net/netfilter/nf_conntrack_count"
	bucketsFile  = "/proc/sys/net/netfilter/nf_conntrack_buckets"
	countersFile = "/proc/net/stat/nf_conntrack"
	meminfoFile  = "/proc/meminfo"

	entryBytes  = 384 // a struct nf_conn with its extensions, at most
	bucketBytes = 8   // one pointer

	// memoryShare is the part of RAM that the table may take without a word: 1/4.
	memoryShare = 4
	// maxStep is what a suggested max is a multiple of.
	maxStep = 1024

	// The load factor, max / buckets. The kernel makes it 1 since 5.15, 4 before, and
	// 8 where hashsize= is given as the module is loaded. A connection is in the table
	// twice, once for each direction: at 8 a full table has 16 entries in a bucket,
	// and every packet walks them.
	highLoad    = 4
	tooHighLoad = 8
)

func sizingChecks() []check {
	return []check{together(tableUse, tableDrops), maxUnlimited, loadFactor, chainsTooLong, maxOverMemory, hashsizeOverMemory, establishedTimeout, otherTimeouts, tableCounters}
}

// tableUse holds the number of connections against max.
func tableUse(h *Host) []Finding {
	if h.Figures.Entries == nil || h.Figures.Max == nil || *h.Figures.Max <= 0 {
		return nil
	}
	count, limit := *h.Figures.Entries, *h.Figures.Max
	f := Finding{
		Evidence: []Evidence{seen(countFile, 0, strconv.FormatInt(count, 10)), seen(maxFile, 0, strconv.FormatInt(limit, 10))},
	}
	switch {
	case count*100 >= limit*fullShare:
		f.ID, f.Severity = "table-full", Error
	case count*100 >= limit*fillingShare:
		f.ID, f.Severity = "table-filling", Warning
	default:
		return nil
	}
	f.Summary = fmt.Sprintf("the connection table is %d %% full: %d of %d", count*100/limit, count, limit)
	f.Fix, f.Note = h.raiseMax()
	return []Finding{f}
}

// tableDrops finds that the table was full: in the kernel's log, and in the counters
// of connections that were refused or thrown out for want of room.
func tableDrops(h *Host) []Finding {
	all := h.tallies(tableFull)
	f := Finding{ID: "table-drops", Severity: Warning, Summary: "the connection table was full: connections were thrown out or refused"}
	for _, t := range all {
		f.Severity, f.Evidence = Error, append(f.Evidence, t.evidence())
	}
	for _, c := range []entry{
		{"early_drop", "connections thrown out to make room"},
		{"drop", "packets dropped because no connection could be made, or by a helper"},
	} {
		if n := h.Counters[c.key]; n > 0 {
			f.Evidence = append(f.Evidence, seen(countersFile, 0, fmt.Sprintf("%s = %d: %s", c.key, n, c.value)))
		}
	}
	if len(f.Evidence) == 0 {
		return nil
	}
	if h.settled("max") && h.use() < fillingShare && !h.sinceConfigured(all) {
		f.Severity = Info
		f.Note = "The configuration was changed since, and what it asks for is in force. The counters begin with the load of the module: look whether they still grow."
		return []Finding{f}
	}
	f.Fix, f.Note = h.raiseMax()
	return []Finding{f}
}

// tableFull names the message of a full table, so that the same ones are counted
// together; some kernels say their name twice.
func tableFull(text string) string {
	if !klog.TableFull(text) {
		return ""
	}
	text = strings.TrimRight(text, ". \n")
	return strings.Replace(text, "nf_conntrack: nf_conntrack: ", "nf_conntrack: ", 1)
}

// use is how full the connection table is, in percent; 0 where nobody can tell.
func (h *Host) use() int64 {
	if h.Figures.Entries == nil || h.Figures.Max == nil || *h.Figures.Max <= 0 {
		return 0
	}
	return *h.Figures.Entries * 100 / *h.Figures.Max
}

// raiseMax gives the commands that raise max until the present use is under half of
// it, and to twice what it is at least; hashsize goes with it. It raises nothing over
// a quarter of the memory.
func (h *Host) raiseMax() (fix []string, note string) {
	if h.Place.ChildNetns {
		return nil, "max belongs to the host's first network namespace: raise it there, on the host. It counts for each namespace by itself."
	}
	needed := int64(1)
	if h.Figures.Max != nil {
		needed = max(needed, *h.Figures.Max*2)
	}
	for h.Figures.Entries != nil && *h.Figures.Entries*2 >= needed {
		needed *= 2
	}
	if w, asked := h.want("max"); asked && !h.settled("max") {
		if n, err := strconv.ParseInt(w.Value, 10, 64); err == nil && n >= needed {
			return []string{h.enforce()}, fmt.Sprintf("The configuration asks for %d (%s), and that is not in force.", n, w.Origin)
		}
	}
	if h.MemTotal > 0 && needed > h.mostEntries() {
		return nil, fmt.Sprintf("Twice as many connections would take over a quarter of the memory (%s): shorten the timeouts, or give the host more memory.", config.FormatBytes(h.MemTotal))
	}
	buckets := needed
	if h.Figures.Buckets != nil {
		buckets = max(buckets, *h.Figures.Buckets)
	}
	return h.configure("table", []entry{{"max", strconv.FormatInt(needed, 10)}, {"hashsize", strconv.FormatInt(buckets, 10)}}, nil),
		fmt.Sprintf("A full table of %d connections takes %s.", needed, config.FormatBytes(needed*entryBytes+buckets*bucketBytes))
}

// mostEntries is how many connections fit in a quarter of the memory.
func (h *Host) mostEntries() int64 {
	n := h.MemTotal / memoryShare / entryBytes
	return max(maxStep, n-n%maxStep)
}

// maxUnlimited finds max = 0, which kernels up to 6.12 take for "no limit".
func maxUnlimited(h *Host) []Finding {
	if h.Figures.Max == nil || *h.Figures.Max != 0 {
		return nil
	}
	f := Finding{
		ID: "max-unlimited", Severity: Warning, Summary: "max is 0: the connection table has no limit, and can take all memory",
		Evidence: []Evidence{seen(maxFile, 0, "0")},
	}
	if !h.Place.ChildNetns {
		f.Fix = h.configure("max", []entry{{"max", "auto"}}, nil)
	}
	return []Finding{f}
}

// loadFactor holds max against the buckets.
func loadFactor(h *Host) []Finding {
	if h.Figures.Buckets == nil || h.Figures.Max == nil || *h.Figures.Buckets <= 0 || *h.Figures.Max <= highLoad**h.Figures.Buckets {
		return nil
	}
	limit, buckets := *h.Figures.Max, *h.Figures.Buckets
	f := Finding{
		ID: "load-factor", Severity: Info,
		Summary:  fmt.Sprintf("%d connections for each hash bucket: a full table has chains of %d entries, which every packet walks", limit/buckets, 2*limit/buckets),
		Evidence: []Evidence{seen(maxFile, 0, strconv.FormatInt(limit, 10)), seen(bucketsFile, 0, strconv.FormatInt(buckets, 10))},
		Note:     "Each connection is in the table twice, once for each direction. The kernel itself takes 1 connection a bucket since 5.15, and 8 where hashsize= is given as the module is loaded.",
	}
	if limit > tooHighLoad*buckets {
		f.Severity = Warning
		f.Fix = h.raiseHashsize(limit)
	}
	return []Finding{f}
}

// chainsTooLong finds connections that were refused because the chain of their bucket
// was too long: what kernels that have the column chainlength count there.
func chainsTooLong(h *Host) []Finding {
	n := h.Counters["chainlength"]
	if n == 0 {
		return nil
	}
	f := Finding{
		ID: "chains-too-long", Severity: Warning, Summary: "connections were refused because the chain of their hash bucket was too long",
		Evidence: []Evidence{seen(countersFile, 0, fmt.Sprintf("chainlength = %d", n))},
	}
	if h.Figures.Max != nil && h.Figures.Buckets != nil {
		f.Evidence = append(f.Evidence, seen(maxFile, 0, strconv.FormatInt(*h.Figures.Max, 10)), seen(bucketsFile, 0, strconv.FormatInt(*h.Figures.Buckets, 10)))
		if h.settled("hashsize") && *h.Figures.Buckets >= *h.Figures.Max {
			f.Severity, f.Note = Info, "There is a bucket for each connection now. The counter begins with the load of the module: look whether it still grows."
			return []Finding{f}
		}
		f.Fix = h.raiseHashsize(*h.Figures.Max)
	}
	return []Finding{f}
}

// raiseHashsize gives the commands for as many buckets as max connections, in at most a
// quarter of the memory.
func (h *Host) raiseHashsize(limit int64) []string {
	if h.Place.ChildNetns || limit <= 0 {
		return nil
	}
	if h.MemTotal > 0 {
		step := sysfs.RoundHashsize(1)
		most := h.MemTotal / memoryShare / bucketBytes
		limit = min(limit, most-most%step)
	}
	return h.configure("hashsize", []entry{{"hashsize", strconv.FormatInt(limit, 10)}}, nil)
}
