package table

import (
	"strconv"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// Figures are the table's sizes in connections, hash buckets and expectations.
// A figure that cannot be read (the module is absent, or the reader has not the
// rights) is nil.
type Figures struct {
	Entries      *int64 `json:"entries"`
	Max          *int64 `json:"max"`
	Buckets      *int64 `json:"buckets"`
	Expectations *int64 `json:"expectations"`
	ExpectMax    *int64 `json:"expect_max"`
}

// Read takes the figures of the system below root from the nf_conntrack sysctls and, for
// the expectations, from where ExpectationsByHelper finds them.
func Read(root string) Figures {
	f := sizes(root)
	if helpers, err := ExpectationsByHelper(root); err == nil {
		f.Expectations = inAll(helpers)
	}
	return f
}

// sizes are the figures without the expectations, which take longer.
func sizes(root string) Figures {
	files := sysfs.NewReader(root)
	defer func() { _ = files.Close() }() // opened for reading alone
	figure := func(name string) *int64 {
		text, err := files.Figure(name)
		if err != nil {
			return nil
		}
		return number(text)
	}
	return Figures{Entries: figure("count"), Max: figure("max"), Buckets: figure("buckets"), ExpectMax: figure("expect_max")}
}

func inAll(helpers map[string]int64) *int64 {
	n := int64(0)
	for _, expectations := range helpers {
		n += expectations
	}
	return &n
}

// LoadFactor is the connections for each hash bucket, nil where one of them cannot be
// read: the average length of a chain is twice that, because each connection stands in
// two, one for each direction (__nf_conntrack_hash_insert).
func (f Figures) LoadFactor() *float64 {
	if f.Entries == nil || f.Buckets == nil || *f.Buckets <= 0 {
		return nil
	}
	factor := float64(*f.Entries) / float64(*f.Buckets)
	return &factor
}

func number(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
