package mountinfo

import (
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// File is the file that Read reads.
const File = "/proc/self/mountinfo"

// maxSize is far more than any table of mounts is long, in bytes.
const maxSize = 16 << 20

// Mount is one mount. Its paths are unescaped.
type Mount struct {
	*mountinfo.Info
	// Line is the number of its line, and Text the line.
	Line int
	Text string
}

// Read returns the mounts in their order: a later one covers an earlier one at the same path.
func Read(t tree.Tree) ([]Mount, error) {
	text, err := t.Read(File, maxSize)
	if err != nil {
		return nil, err
	}
	return Parse(string(text)), nil
}

// Parse returns the mounts in the text of a mountinfo file. Invalid lines are skipped.
func Parse(text string) []Mount {
	var mounts []Mount
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		info, err := mountinfo.GetMountsFromReader(strings.NewReader(line), nil)
		if err == nil && len(info) == 1 {
			mounts = append(mounts, Mount{Info: info[0], Line: number, Text: line})
		}
	}
	return mounts
}

// IsReadOnly reports whether nothing can be written through the mount. Its file system may be
// writable elsewhere.
func (m Mount) IsReadOnly() bool { return slices.Contains(strings.Split(m.Options, ","), "ro") }

// Holds reports whether a path is at the mount point or below it.
func (m Mount) Holds(path string) bool {
	return m.Mountpoint == "/" || path == m.Mountpoint || strings.HasPrefix(path, m.Mountpoint+"/")
}
