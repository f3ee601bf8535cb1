package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Change is what happens to a file.
type Change string

// The changes of files.
const (
	Written   Change = "written"
	Removed   Change = "removed"
	Unchanged Change = "unchanged"
)

// Change returns what Write does to a file.
func (f File) Change() Change {
	switch {
	case f.Content == nil && f.Before == nil:
		return Unchanged
	case f.Content == nil:
		return Removed
	case f.Before != nil && bytes.Equal(f.Content, f.Before) && f.Mode == f.BeforeMode:
		return Unchanged
	}
	return Written
}

// Diff returns the plan as a unified diff, "" if nothing changes.
func (p Plan) Diff() string {
	var b strings.Builder
	for _, f := range p.Files {
		if f.Change() == Unchanged {
			continue
		}
		before, after := f.Path, f.Path
		switch {
		case f.Before == nil:
			before = "/dev/null"
		case f.Content == nil:
			after = "/dev/null"
		case f.Mode != f.BeforeMode:
			fmt.Fprintf(&b, "mode of %s: %04o, will be %04o\n", f.Path, f.BeforeMode, f.Mode)
		}
		b.WriteString(udiff.Unified(before, after, string(f.Before), string(f.Content)))
	}
	return b.String()
}

// Write writes and removes the files that change, and returns their paths. After an error it goes on
// with the next file; the error joins them all.
func (p Plan) Write(t tree.Tree) (changed []string, err error) {
	var errs []error
	for _, f := range p.Files {
		var err error
		switch f.Change() {
		case Unchanged:
			continue
		case Removed:
			_, err = t.Remove(f.Path)
		default:
			err = t.Replace(f.Path, f.Content, f.Mode)
		}
		if err != nil {
			errs = append(errs, f.wrap(err))
			continue
		}
		changed = append(changed, f.Path)
	}
	return changed, errors.Join(errs...)
}

// wrap returns an error that names the file's path once.
func (f File) wrap(err error) error {
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) && inner.Path == f.Path {
		err = inner.Err
	}
	verb := "write"
	if f.Change() == Removed {
		verb = "remove"
	}
	return fmt.Errorf("cannot %s %s: %w", verb, f.Path, err)
}
