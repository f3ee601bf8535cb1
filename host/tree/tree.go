package tree

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
	// maxLinks is the kernel's own limit (MAXSYMLINKS).
	maxLinks = 40

	devNull = "/dev/null"
)

// The errors of Read and Tail besides those of open(2) and read(2), which include EISDIR and ELOOP.
var (
	// ErrTooLarge is the error for a file that is longer than the limit.
	ErrTooLarge = errors.New("file too large")
	// ErrNotRegular is the error for a FIFO, a socket or a device, on which a read could block.
	ErrNotRegular = errors.New("not a regular file")
)

// Tree is a file system below a root directory. The zero value is the running system. All paths are absolute,
// as the host in the tree has them.
type Tree struct {
	root string
	// Other mounts of the running system's /proc and /sys, see WithMounts; empty without them.
	procfs, sysfs string
}

// At returns the tree below root. For "" and "/" it is the running system.
func At(root string) Tree {
	if root == "" || filepath.Clean(root) == "/" {
		return Tree{}
	}
	return Tree{root: filepath.Clean(root)}
}

// Live reports whether the tree is the running system.
func (t Tree) Live() bool { return t.root == "" }

// Root returns the root directory, or "" for the running system.
func (t Tree) Root() string { return t.root }

// Real returns a path of the tree as the host that runs ctkeeper has it. It does not resolve links.
func (t Tree) Real(path string) string {
	switch {
	case t.root != "":
		return filepath.Join(t.root, path)
	case t.procfs != "" || t.sysfs != "":
		return t.mounted(path)
	}
	return path
}

// Step is one look-up on the way to a file: a name in a directory.
type Step struct{ Dir, Name string }

// Resolve follows every symbolic link on the way to path. It returns the resulting path within the tree, and
// each look-up on the way: if one of them changes, the path may lead elsewhere. A name that does not exist is
// kept as it is. The error is ELOOP for a loop of links.
func (t Tree) Resolve(path string) (string, []Step, error) {
	if t.root == "" && !filepath.IsAbs(path) {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", nil, err
		}
		path = abs
	}
	var steps []Step
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
		steps = append(steps, Step{at, name})
		next := filepath.Join(at, name)
		target, err := os.Readlink(t.Real(next))
		if err != nil { // not a link, or it does not exist
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

// locate returns the real path of a file, with all links resolved within the tree. On the running system it
// returns path: the kernel resolves the links, including the magic links of /proc.
func (t Tree) locate(op, path string) (string, error) {
	if t.root == "" {
		return t.Real(path), nil
	}
	end, _, err := t.Resolve(path)
	if err != nil {
		return "", &fs.PathError{Op: op, Path: path, Err: err}
	}
	return t.Real(end), nil
}

// IsNull reports whether path leads to /dev/null, by which systemd and kmod mask a file.
func (t Tree) IsNull(path string) bool {
	end, _, err := t.Resolve(path)
	return err == nil && end == devNull
}

// Read returns the contents of a file of at most limit bytes. It returns ErrTooLarge for a longer file,
// EISDIR for a directory, and ErrNotRegular for other kinds. Errors are *fs.PathError with the tree's path.
func (t Tree) Read(path string, limit int64) ([]byte, error) {
	file, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	switch {
	case err != nil:
		return nil, within("read", path, err)
	case int64(len(data)) > limit:
		return nil, &fs.PathError{Op: "read", Path: path, Err: ErrTooLarge}
	}
	return data, nil
}

// Head returns the beginning of a file, at most limit bytes. Errors are those of Read, without ErrTooLarge.
func (t Tree) Head(path string, limit int64) ([]byte, error) {
	file, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, within("read", path, err)
	}
	return data, nil
}

// Tail returns the end of a file, such as a log: at most limit bytes. If the file is longer, the result
// begins after the first newline. Errors are those of Read.
func (t Tree) Tail(path string, limit int64) ([]byte, error) {
	file, err := t.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return nil, within("stat", path, err)
	}
	skip := max(0, info.Size()-limit)
	data, err := io.ReadAll(io.NewSectionReader(file, skip, limit))
	if err != nil {
		return nil, within("read", path, err)
	}
	if skip > 0 {
		_, rest, _ := strings.Cut(string(data), "\n")
		return []byte(rest), nil
	}
	return data, nil
}

// Open opens a regular file for reading. Errors are those of Read, without ErrTooLarge.
func (t Tree) Open(path string) (*os.File, error) {
	real, err := t.locate("open", path)
	if err != nil {
		return nil, err
	}
	// Stat comes before open, because opening some devices has an effect.
	info, err := os.Stat(real)
	if err != nil {
		return nil, within("open", path, err)
	}
	if err := checkRegular(path, info); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, within("open", path, err)
	}
	// What was opened may be another file: a read of a FIFO would wait for a writer.
	if info, err = file.Stat(); err == nil {
		err = checkRegular(path, info)
	}
	if err != nil {
		_ = file.Close() // the first error is reported
		return nil, within("open", path, err)
	}
	return file, nil
}

func checkRegular(path string, info fs.FileInfo) error {
	switch {
	case info.IsDir():
		return &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		return &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular}
	}
	return nil
}

// OpenDir opens a directory for reading. Errors are *fs.PathError with the tree's path.
func (t Tree) OpenDir(path string) (*os.File, error) {
	real, err := t.locate("open", path)
	if err != nil {
		return nil, err
	}
	dir, err := os.OpenFile(real, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, within("open", path, err)
	}
	return dir, nil
}

// List returns the names in a directory, sorted. Errors are *fs.PathError with the tree's path.
func (t Tree) List(dir string) ([]string, error) {
	entries, err := t.Entries(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, nil
}

// Entries returns the entries of a directory, sorted by name. Errors are *fs.PathError with the tree's path.
func (t Tree) Entries(dir string) ([]fs.DirEntry, error) {
	real, err := t.locate("open", dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return nil, within("open", dir, err)
	}
	return entries, nil
}

// Stat is stat(2) within the tree. Errors are *fs.PathError with the tree's path.
func (t Tree) Stat(path string) (fs.FileInfo, error) {
	real, err := t.locate("stat", path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(real)
	if err != nil {
		return nil, within("stat", path, err)
	}
	return info, nil
}

// Readlink returns the target of a symbolic link, as it is written. Errors are *fs.PathError with the tree's path.
func (t Tree) Readlink(path string) (string, error) {
	dir, err := t.locate("readlink", filepath.Dir(path))
	if err != nil {
		return "", err
	}
	target, err := os.Readlink(filepath.Join(dir, filepath.Base(path)))
	if err != nil {
		return "", within("readlink", path, err)
	}
	return target, nil
}

// Exists reports whether path leads to a file, directory or device that Stat can find.
func (t Tree) Exists(path string) bool {
	_, err := t.Stat(path)
	return err == nil
}

// Gone reports whether path does not exist, not even as a dangling link. It returns false if that is unknown.
func (t Tree) Gone(path string) bool {
	dir, err := t.locate("lstat", filepath.Dir(path))
	if err != nil {
		return false
	}
	_, err = os.Lstat(filepath.Join(dir, filepath.Base(path)))
	return errors.Is(err, fs.ErrNotExist)
}

// within returns a *fs.PathError with the tree's path instead of the real one.
func within(op, path string, err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		err = wrapped.Err
	} else if wrapped, ok := errors.AsType[*os.LinkError](err); ok {
		err = wrapped.Err
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// WithoutPath returns the error in a *fs.PathError, for messages that have the path already, and other errors as they
// are.
func WithoutPath(err error) error {
	if wrapped, ok := errors.AsType[*fs.PathError](err); ok {
		return wrapped.Err
	}
	return err
}
