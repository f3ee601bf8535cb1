package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const (
	// autoShare, autoLeast, autoMost and autoStep are how "max: auto" is sized:
	// a full table takes 1/64 of RAM.
	autoShare = 64
	autoLeast = 32768
	autoMost  = 8388608
	autoStep  = 1024
)

// FormatBytes is a size for people: "2 MiB", "1.5 GiB".
func FormatBytes(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	return strings.TrimSuffix(strconv.FormatFloat(size, 'f', 1, 64), ".0") + " " + units[unit]
}

// memory is the host's RAM in bytes, or why it is not known.
type memory struct {
	total int64
	err   error
}

// readMemory reads MemTotal of /proc/meminfo in the tree.
func readMemory(t tree.Tree) memory {
	const meminfo = "/proc/meminfo"
	text, err := t.Read(meminfo, maxFileSize)
	if err != nil {
		return memory{err: fmt.Errorf("cannot read the host's memory: %w", err)}
	}
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(line, "MemTotal:")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 48)
		if err != nil || kib <= 0 {
			break
		}
		return memory{total: kib * 1024}
	}
	return memory{err: fmt.Errorf("cannot read the host's memory: no MemTotal in %s", t.Real(meminfo))}
}

// TotalMemory is the RAM of the host in the tree in bytes, MemTotal of /proc/meminfo.
func TotalMemory(t tree.Tree) (int64, error) {
	m := readMemory(t)
	return m.total, m.err
}

// autoMax is what "max: auto" comes to.
func (m memory) autoMax() int64 {
	n := m.total / autoShare / sysfs.EntryBytes
	n = min(max(n, autoLeast), autoMost)
	return n - n%autoStep
}

// autoHashsize is what "hashsize: auto" comes to beside a max of limit
// connections, 0 for no limit: as many buckets, in at most 1/4 of RAM.
func (m memory) autoHashsize(limit int64) int64 {
	if limit <= 0 {
		limit = m.autoMax()
	}
	step := sysfs.RoundHashsize(1)
	most := m.mostBuckets()
	return max(1, min(limit, most-most%step))
}

// mostBuckets is how many hash buckets fit in 1/4 of RAM.
func (m memory) mostBuckets() int64 { return m.total / sysfs.TableShare / sysfs.BucketBytes }
