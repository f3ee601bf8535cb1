package table

import (
	"bytes"
	"strconv"

	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/tree"
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

// Read takes the figures of the system below root from the nf_conntrack sysctls
// and, for the expectations, from /proc/net/nf_conntrack_expect, which only root
// may read.
func Read(root string) Figures {
	files := sysfs.NewReader(root)
	defer func() { _ = files.Close() }() // opened for reading alone
	figure := func(name string) *int64 {
		text, err := files.Figure(name)
		if err != nil {
			return nil
		}
		return number(text)
	}
	return Figures{
		Entries: figure("count"), Max: figure("max"), Buckets: figure("buckets"),
		ExpectMax: figure("expect_max"), Expectations: expectations(root),
	}
}

// expectations counts the lines of the expectation table.
func expectations(root string) *int64 {
	lines, err := tree.At(root).Read(expectFile, maxExpect)
	if err != nil {
		return nil
	}
	n := int64(bytes.Count(lines, []byte{'\n'}))
	return &n
}

func number(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
