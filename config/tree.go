package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	// maxFileSize is far above any sensible configuration and far below what
	// would hurt to parse.
	maxFileSize = 1 << 20
	// maxLinks is the kernel's own limit (MAXSYMLINKS).
	maxLinks = 40

	devNull = "/dev/null"
)

// tree is a file system below a root directory; symbolic links resolve within
// it, as after chroot(2). "" is the running system.
type tree string

// step is one look-up on the way to a file: the name in the directory.
type step struct{ dir, name string }

func newTree(root string) tree {
	if root == "/" {
		root = ""
	}
	return tree(root)
}

// real is where the host that ctkeeper runs on has the tree's path.
func (t tree) real(path string) string {
	if t == "" {
		return path
	}
	return filepath.Join(string(t), path)
}

// resolve follows every symbolic link on the way to path. It returns the path
// within the tree that remains, and each look-up on the way: a change of any of
// them may lead elsewhere. What does not exist is taken as it is written.
func (t tree) resolve(path string) (string, []step, error) {
	if t == "" && !filepath.IsAbs(path) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", nil, err
		}
		path = abs
	}
	var steps []step
	links, at, rest := 0, "/", strings.Split(path, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		steps = append(steps, step{at, name})
		next := filepath.Join(at, name)
		target, err := os.Readlink(t.real(next))
		if err != nil { // not a link, or not there
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", steps, syscall.ELOOP
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, steps, nil
}

// locate is the real place of path with all links resolved within the tree. On
// the running system the kernel resolves them itself, magic links of /proc and
// all.
func (t tree) locate(path string) (real string, null bool, err error) {
	end, _, err := t.resolve(path)
	if err != nil {
		return "", false, err
	}
	if t == "" {
		return path, end == devNull, nil
	}
	return t.real(end), end == devNull, nil
}

// content is what reading a file gave.
type content struct {
	data []byte
	// masked is why there is nothing to read, in the words of Hidden.Why.
	masked string
}

// read reads a configuration file whole.
func (t tree) read(path string) (content, *fault) {
	real, null, err := t.locate(path)
	switch {
	case err != nil:
		return content{}, unreadable(err)
	case null:
		return content{masked: "link to " + devNull}, nil
	}
	info, err := os.Stat(real)
	if err != nil {
		return content{}, unreadable(err)
	}
	switch {
	case info.IsDir():
		return content{}, &fault{problem: "is a directory", allowed: "a file", err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		return content{}, &fault{problem: "is neither a file nor a link to one", allowed: "a file, or a link to " + devNull}
	case info.Size() == 0:
		return content{masked: "empty file"}, nil
	}
	file, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return content{}, unreadable(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileSize+1))
	switch {
	case err != nil:
		return content{}, unreadable(err)
	case len(data) > maxFileSize:
		return content{}, &fault{problem: "is too large", allowed: "up to " + FormatBytes(maxFileSize)}
	}
	return content{data: data}, nil
}

// list names what is in a directory; nothing where there is no directory.
func (t tree) list(dir string) ([]string, *fault) {
	real, null, err := t.locate(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	if null {
		return nil, nil
	}
	entries, err := os.ReadDir(real)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unreadable(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// gone reports whether there is not even a link of that name.
func (t tree) gone(path string) bool {
	dir, _, err := t.locate(filepath.Dir(path))
	if err != nil {
		return false
	}
	_, err = os.Lstat(filepath.Join(dir, filepath.Base(path)))
	return errors.Is(err, fs.ErrNotExist)
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
