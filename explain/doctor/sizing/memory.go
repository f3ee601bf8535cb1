package sizing

import (
	"fmt"
	"strconv"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// checkMaxMemory holds what a full table takes against the memory.
func checkMaxMemory(h *picture.Host) []finding.Finding {
	if h.Figures.Max == nil || *h.Figures.Max <= 0 || h.MemTotal <= 0 {
		return nil
	}
	limit := *h.Figures.Max
	// Divided, because max can be so large that its bytes are no int64.
	if limit <= h.MemTotal/memoryShare/entryBytes {
		return nil
	}
	f := finding.Finding{
		ID: "max-over-memory", Severity: finding.Warning,
		Summary:  fmt.Sprintf("a full connection table would take %s of %s memory", config.FormatBytes(limit*entryBytes), config.FormatBytes(h.MemTotal)),
		Evidence: []finding.Evidence{finding.Seen(picture.MaxFile, 0, strconv.FormatInt(limit, 10)), finding.Seen(picture.MeminfoFile, 0, fmt.Sprintf("MemTotal: %d kB", h.MemTotal>>10))},
	}
	if limit > h.MemTotal/entryBytes {
		f.Severity = finding.Error
	}
	most := mostEntries(h)
	switch {
	case h.Env.ChildNetns:
		f.Note = "max belongs to the host's first network namespace."
	case h.Figures.Entries != nil && *h.Figures.Entries*100 >= most*picture.FillingPercent:
		f.Note = fmt.Sprintf("A quarter of the memory holds %d connections, and there are %d now: shorten the timeouts, or give the host more memory.", most, *h.Figures.Entries)
	default:
		f.Fix = fixes.Configure(h, "max", []fixes.Entry{{"max", strconv.FormatInt(most, 10)}}, nil)
	}
	return []finding.Finding{f}
}

// checkHashsizeMemory holds what the hash table takes against the memory.
func checkHashsizeMemory(h *picture.Host) []finding.Finding {
	if h.Figures.Buckets == nil || h.MemTotal <= 0 || *h.Figures.Buckets <= h.MemTotal/memoryShare/bucketBytes {
		return nil
	}
	buckets := *h.Figures.Buckets
	f := finding.Finding{
		ID: "hashsize-over-memory", Severity: finding.Warning,
		Summary:  fmt.Sprintf("the hash table takes %s of %s memory, however few connections there are", config.FormatBytes(buckets*bucketBytes), config.FormatBytes(h.MemTotal)),
		Evidence: []finding.Evidence{finding.Seen(picture.BucketsFile, 0, strconv.FormatInt(buckets, 10)), finding.Seen(picture.MeminfoFile, 0, fmt.Sprintf("MemTotal: %d kB", h.MemTotal>>10))},
	}
	if h.Figures.Max != nil && *h.Figures.Max > 0 {
		f.Fix = raiseHashsize(h, min(*h.Figures.Max, mostEntries(h)))
	}
	return []finding.Finding{f}
}
