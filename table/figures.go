package table

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
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
	var lines []byte
	file, err := open(root, "proc/net/nf_conntrack_expect")
	if err == nil {
		lines, err = io.ReadAll(file)
		_ = file.Close() // it was only read
	}
	if err != nil {
		return nil
	}
	n := int64(bytes.Count(lines, []byte{'\n'}))
	return &n
}

// open opens a file below root. In a tree no symbolic link leads out of it; on the
// running system /proc/net is one that leads away.
func open(root, path string) (*os.File, error) {
	if root == "" || root == "/" {
		return os.Open(filepath.Join("/", path))
	}
	return os.OpenInRoot(root, path)
}

func number(text string) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}
