package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxTarget is far above what import writes.
const maxTarget = 1 << 20

// ErrForeign is a file at Target that import did not write.
var ErrForeign = errors.New("not written by ctkeeper import: move it away first")

// ErrMasked is a directory of Target that leads to /dev/null: what is written there
// nobody reads.
var ErrMasked = errors.New("a link to /dev/null is in the place of its directory: take it away first")

// Write puts the drop-in at Target, and reports whether that changed anything. A
// file there that import did not write is ErrForeign, and stays; a masked directory is
// ErrMasked.
func (i Import) Write(t tree.Tree) (changed bool, err error) {
	if end, _, err := t.Resolve(path.Dir(DropInPath)); err == nil && strings.HasPrefix(end+"/", "/dev/null/") {
		return false, fmt.Errorf("cannot write %s: %w", DropInPath, ErrMasked)
	}
	before, err := t.Read(DropInPath, maxTarget)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.Gone(DropInPath):
	case err != nil:
		return false, fmt.Errorf("cannot write %s: %w: %w", DropInPath, ErrForeign, cause(err))
	case bytes.Equal(before, i.YAML):
		return false, nil
	case !written(before):
		return false, fmt.Errorf("cannot write %s: %w", DropInPath, ErrForeign)
	}
	if err := t.Replace(DropInPath, i.YAML, 0o644); err != nil {
		return false, fmt.Errorf("cannot write the drop-in: %w", err)
	}
	return true, nil
}

// cause is an error without the path, which the message has already.
func cause(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}
