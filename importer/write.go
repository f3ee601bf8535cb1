package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ctkeeper/ctkeeper/tree"
)

// maxTarget is far above what import writes.
const maxTarget = 1 << 20

// ErrForeign is a file at Target that import did not write.
var ErrForeign = errors.New("not written by ctkeeper import: move it away first")

// Write puts the drop-in at Target, and reports whether that changed anything. A
// file there that import did not write is ErrForeign, and stays.
func (i Import) Write(t tree.Tree) (changed bool, err error) {
	before, err := t.Read(Target, maxTarget)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.Gone(Target):
	case err != nil:
		return false, fmt.Errorf("cannot write %s: %w: %w", Target, ErrForeign, err)
	case bytes.Equal(before, i.YAML):
		return false, nil
	case !bytes.HasPrefix(before, []byte(Header+"\n")):
		return false, fmt.Errorf("cannot write %s: %w", Target, ErrForeign)
	}
	if err := t.Replace(Target, i.YAML, 0o644); err != nil {
		return false, fmt.Errorf("cannot write the drop-in: %w", err)
	}
	return true, nil
}
