package meminfo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// File is the file that is read.
const File = "/proc/meminfo"

// Total returns the host's RAM in bytes: MemTotal, which is what the kernel can use.
func Total(t tree.Tree) (int64, error) { return figure(t, "MemTotal") }

// Available returns how much memory in bytes can be had without swapping: MemAvailable, which includes
// most of the page cache (proc_meminfo(5), since Linux 3.14).
func Available(t tree.Tree) (int64, error) { return figure(t, "MemAvailable") }

// figure returns a figure of File in bytes.
func figure(t tree.Tree, name string) (int64, error) {
	text, err := t.Read(File, 64<<10)
	if err != nil {
		return 0, fmt.Errorf("cannot read the host's memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		rest, found := strings.CutPrefix(line, name+":")
		if !found {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 48)
		if err != nil || kib <= 0 {
			break
		}
		return kib * 1024, nil
	}
	return 0, fmt.Errorf("cannot read the host's memory: no %s in %s", name, t.Real(File))
}
