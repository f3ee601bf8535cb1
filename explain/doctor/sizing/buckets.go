package sizing

import (
	"fmt"
	"strconv"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The load factor is max / buckets. The kernel's is 1 since 5.15, 4 before, and 8 where hashsize= is a
// load-time parameter. A connection is in the table twice, once for each direction: at 8 a full table has
// 16 entries in a bucket, and every packet walks them.
const (
	highLoad    = 4
	tooHighLoad = 8
)

// checkLoadFactor compares max with the buckets.
func checkLoadFactor(h *picture.Host) []finding.Finding {
	if h.Figures.Buckets == nil || h.Figures.Max == nil {
		return nil
	}
	limit, buckets := *h.Figures.Max, *h.Figures.Buckets
	if buckets <= 0 || limit <= highLoad*buckets {
		return nil
	}
	f := finding.Finding{
		ID: "load-factor", Severity: finding.Info,
		Summary: fmt.Sprintf("%d connections for each hash bucket: a full table has chains of %d entries, which "+
			"every packet walks",
			limit/buckets, 2*limit/buckets),
		Evidence: []finding.Evidence{seen(picture.MaxFile, limit), seen(picture.BucketsFile, buckets)},
		Note: "Each connection is in the table twice, once for each direction. The kernel's default is 1 connection " +
			"a bucket " +
			"since 5.15, and 8 where hashsize= is a load-time parameter of the module.",
	}
	if limit > tooHighLoad*buckets {
		f.Severity = finding.Warning
		f.Fix = raiseHashsize(h, limit)
	}
	return []finding.Finding{f}
}

// checkChains reports connections that were refused because the chain of their bucket was too long. Only
// some kernels have the column chainlength, which counts them.
func checkChains(h *picture.Host) []finding.Finding {
	n := h.Counters["chainlength"]
	if n == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "chains-too-long", Severity: finding.Warning,
		Summary:  "connections were refused because the chain of their hash bucket was too long",
		Evidence: []finding.Evidence{finding.Seen(picture.CountersFile, 0, fmt.Sprintf("chainlength = %d", n))},
	}
	if h.Figures.Max == nil || h.Figures.Buckets == nil {
		return []finding.Finding{f}
	}
	limit, buckets := *h.Figures.Max, *h.Figures.Buckets
	f.Evidence = append(f.Evidence, seen(picture.MaxFile, limit), seen(picture.BucketsFile, buckets))
	if h.IsApplied("hashsize") && buckets >= limit {
		f.Severity = finding.Info
		f.Note = "There is one bucket for each connection now. " +
			"The counter starts with the load of the module: check whether it still grows."
		return []finding.Finding{f}
	}
	f.Fix = raiseHashsize(h, limit)
	return []finding.Finding{f}
}

// raiseHashsize returns the commands for as many buckets as connections, in at most a quarter of the
// memory.
func raiseHashsize(h *picture.Host, limit int64) []finding.Step {
	if h.Env.ChildNetns || limit <= 0 {
		return nil
	}
	if h.MemTotal > 0 {
		limit = min(limit, sysfs.MostBuckets(h.MemTotal))
	}
	return fixes.Configure(h, "hashsize", []fixes.Entry{{"hashsize", strconv.FormatInt(limit, 10)}}, nil)
}
