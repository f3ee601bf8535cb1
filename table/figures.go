package table

import (
	"strconv"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Figures are the table's sizes in connections, hash buckets and expectations. A figure that cannot be read
// (the module is absent, or a capability is missing) is nil.
type Figures struct {
	Entries      *int64 `json:"entries"`
	Max          *int64 `json:"max"`
	Buckets      *int64 `json:"buckets"`
	Expectations *int64 `json:"expectations"`
	ExpectMax    *int64 `json:"expect_max"`
}

// Read reads the figures of a host from the nf_conntrack sysctls, and the expectations with
// ExpectationsByHelper.
func Read(host tree.Tree) Figures {
	files := sysfs.NewReader(host)
	defer func() { _ = files.Close() }() // it was only read
	f := readSizes(files)
	if helpers, err := ExpectationsByHelper(host); err == nil {
		f.Expectations = sum(helpers)
	}
	return f
}

// readSizes reads the figures without the expectations, which take longer.
func readSizes(files *sysfs.Files) Figures {
	figure := func(name string) *int64 {
		text, err := files.Figure(name)
		if err != nil {
			return nil
		}
		return parseNumber(text)
	}
	return Figures{Entries: figure("count"), Max: figure("max"), Buckets: figure("buckets"),
		ExpectMax: figure("expect_max")}
}

func sum(helpers map[string]int64) *int64 {
	n := int64(0)
	for _, expectations := range helpers {
		n += expectations
	}
	return &n
}

// LoadFactor returns the connections per hash bucket, nil if one of the two is not known. The average length
// of a chain is twice that, because a connection is in two chains, one for each direction
// (__nf_conntrack_hash_insert).
func (f Figures) LoadFactor() *float64 {
	if f.Entries == nil || f.Buckets == nil || *f.Buckets <= 0 {
		return nil
	}
	factor := float64(*f.Entries) / float64(*f.Buckets)
	return &factor
}

func parseNumber(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
