package config

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxFileSize is far above any sensible configuration and far below what would
// hurt to parse.
const maxFileSize = 1 << 20

// content is what reading a file gave.
type content struct {
	data []byte
	// masked is why there is nothing to read, in the words of Hidden.Why.
	masked string
}

// readFile reads a configuration file whole.
func readFile(t tree.Tree, path string) (content, *fault) {
	if t.IsNull(path) {
		return content{masked: "link to " + devNull}, nil
	}
	data, err := t.Read(path, maxFileSize)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return content{}, &fault{problem: "is a directory", allowed: "a file", err: syscall.EISDIR}
	case errors.Is(err, tree.ErrNotRegular):
		return content{}, &fault{problem: "is neither a file nor a link to one", allowed: "a file, or a link to " + devNull}
	case errors.Is(err, tree.ErrTooLarge):
		return content{}, &fault{problem: "is too large", allowed: "up to " + FormatBytes(maxFileSize)}
	case err != nil:
		return content{}, unreadable(err)
	case len(data) == 0:
		return content{masked: "empty file"}, nil
	}
	return content{data: data}, nil
}

// list names what is in a directory; nothing where there is no directory.
func list(t tree.Tree, dir string) ([]string, *fault) {
	names, err := t.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !t.IsNull(dir) {
		return nil, unreadable(err)
	}
	return names, nil
}

// unreadable words a system error without the path, which stands before it.
func unreadable(err error) *fault {
	cause := err
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		cause = pathError.Err
	}
	return &fault{problem: "cannot read: " + cause.Error(), err: err}
}
