package sizing

import (
	"fmt"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/meminfo"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// memTotal returns the memory as evidence.
func memTotal(h *picture.Host) finding.Evidence {
	return finding.Seen(meminfo.File, 0, fmt.Sprintf("MemTotal: %d kB", h.MemTotal>>10))
}

// checkUnlimited reports max = 0, which means "no limit" to kernels up to 6.12.
func checkUnlimited(h *picture.Host) []finding.Finding {
	if h.Figures.Max == nil || *h.Figures.Max != 0 {
		return nil
	}
	f := finding.Finding{
		ID: "max-unlimited", Severity: finding.Warning, Evidence: []finding.Evidence{seen(picture.MaxFile, 0)},
		Summary: "max is 0: the connection table has no limit, and can take all memory",
	}
	if !h.Env.ChildNetns {
		f.Fix = fixes.Configure(h, "max", []fixes.Entry{{"max", "auto"}}, nil)
	}
	return []finding.Finding{f}
}

// checkMaxMemory compares the size of a full table with the memory.
func checkMaxMemory(h *picture.Host) []finding.Finding {
	if h.Figures.Max == nil || *h.Figures.Max <= 0 || h.MemTotal <= 0 {
		return nil
	}
	limit := *h.Figures.Max
	// A division, because the bytes of a large max can overflow int64.
	if limit <= h.MemTotal/sysfs.TableShare/sysfs.EntryBytes {
		return nil
	}
	f := finding.Finding{
		ID: "max-over-memory", Severity: finding.Info, Evidence: []finding.Evidence{seen(picture.MaxFile, limit),
			memTotal(h)},
		Summary: fmt.Sprintf("a full connection table would take %s of %s memory",
			config.FormatBytes(limit*sysfs.EntryBytes), config.FormatBytes(h.MemTotal)),
	}
	if limit > h.MemTotal/sysfs.EntryBytes {
		f.Severity = finding.Warning
	}
	most := mostEntries(h)
	switch {
	case h.Env.ChildNetns:
		f.Note = "max belongs to the host's initial network namespace."
	case h.Figures.Entries != nil && *h.Figures.Entries*100 >= most*picture.FillingPercent:
		f.Note = fmt.Sprintf("A quarter of the memory holds %d connections, and there are %d now: "+
			"shorten the timeouts, or give the host more memory.", most, *h.Figures.Entries)
	default:
		f.Note = fmt.Sprintf("A quarter of the memory holds %d connections.", most)
	}
	return []finding.Finding{f}
}

// checkHashsizeMemory compares the size of the hash table with the memory.
func checkHashsizeMemory(h *picture.Host) []finding.Finding {
	if h.Figures.Buckets == nil || h.MemTotal <= 0 {
		return nil
	}
	buckets := *h.Figures.Buckets
	if buckets <= h.MemTotal/sysfs.TableShare/sysfs.BucketBytes {
		return nil
	}
	f := finding.Finding{
		ID: "hashsize-over-memory", Severity: finding.Warning,
		Evidence: []finding.Evidence{seen(picture.BucketsFile, buckets), memTotal(h)},
		Summary: fmt.Sprintf("the hash table takes %s of %s memory, regardless of the number of connections",
			config.FormatBytes(buckets*sysfs.BucketBytes), config.FormatBytes(h.MemTotal)),
	}
	if h.Figures.Max != nil && *h.Figures.Max > 0 {
		f.Fix = raiseHashsize(h, min(*h.Figures.Max, mostEntries(h)))
	}
	return []finding.Finding{f}
}
