package meminfo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// File is the file that Total reads.
const File = "/proc/meminfo"

// Total returns the host's RAM in bytes: MemTotal, which is what the kernel can use.
func Total(t tree.Tree) (int64, error) {
	text, err := t.Read(File, 64<<10)
	if err != nil {
		return 0, fmt.Errorf("cannot read the host's memory: %w", err)
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
		return kib * 1024, nil
	}
	return 0, fmt.Errorf("cannot read the host's memory: no MemTotal in %s", t.Real(File))
}
