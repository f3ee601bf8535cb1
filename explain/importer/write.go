package importer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// ErrForeign is returned if import did not write the file at DropInPath.
var ErrForeign = errors.New("not written by ctkeeper import: move it away first")

// ErrMasked is returned if the directory of DropInPath is a link to /dev/null: a file there would
// never be read.
var ErrMasked = errors.New("its directory is a link to /dev/null: remove the link first")

// Write writes the drop-in to DropInPath, and reports whether its content changed. It leaves a foreign
// file unchanged.
func (i Import) Write(t tree.Tree) (changed bool, err error) {
	if end, _, err := t.Resolve(path.Dir(DropInPath)); err == nil && strings.HasPrefix(end+"/", "/dev/null/") {
		return false, fmt.Errorf("cannot write %s: %w", DropInPath, ErrMasked)
	}
	before, err := t.Read(DropInPath, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.Gone(DropInPath):
	case err != nil:
		return false, fmt.Errorf("cannot write %s: %w: %w", DropInPath, ErrForeign, tree.WithoutPath(err))
	case bytes.Equal(before, i.YAML):
		return false, nil
	case !isOurs(before):
		return false, fmt.Errorf("cannot write %s: %w", DropInPath, ErrForeign)
	}
	if err := t.Replace(DropInPath, i.YAML, 0o644); err != nil {
		return false, fmt.Errorf("cannot write the drop-in: %w", err)
	}
	return true, nil
}

// ErrConfigured is returned if the main file has more than comments.
var ErrConfigured = errors.New("it is more than comments: change it by hand, or move it away first")

// WriteMain writes the whole configuration to the main file, unless that has more than comments. An empty file and a
// link to /dev/null are masks, which somebody made.
func (i Import) WriteMain(t tree.Tree) error {
	const file = config.DefaultMain
	before, err := t.Read(file, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.Gone(file):
	case err != nil:
		return fmt.Errorf("cannot write %s: %w", file, tree.WithoutPath(err))
	case !isComment(before):
		return fmt.Errorf("cannot write %s: %w", file, ErrConfigured)
	}
	if err := t.Replace(file, i.YAML, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", file, tree.WithoutPath(err))
	}
	return nil
}

// isComment reports whether a text has comments and no other lines.
func isComment(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return len(text) > 0
}
