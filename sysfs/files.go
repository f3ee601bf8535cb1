package sysfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel makes and clears a buffer of the size that is asked for
// (proc_sys_call_handler), so numbers ask for little.
const (
	maxNumber = 64
	maxText   = 4096 // one page, more than any sysctl prints
)

// Files reads and writes the kernel's setting files below a root directory.
// It keeps the running system's open between reads: a look then costs one
// pread(2) a setting. Descriptors that die with the module (ENOENT and its like
// after an unload or a reload) are opened again; open ones do not pin the
// module. Below another root they may be plain files, which outlive their names,
// and are opened each time.
//
// A Files is safe for use by several goroutines.
type Files struct {
	root     string
	readOnly bool

	mu   sync.Mutex
	open map[string]handle
	buf  [maxText]byte
}

type handle struct {
	*os.File
	fd     int   // File.Fd() makes a system call at each call
	denied error // why it was opened for reading alone, or nil
}

// NewFiles gives the setting files of the system below root; the empty root is
// the running system.
func NewFiles(root string) *Files {
	return &Files{root: rooted(root), open: map[string]handle{}}
}

// NewReader is NewFiles for looking only: it opens nothing for writing, and its
// Write fails with fs.ErrPermission.
func NewReader(root string) *Files {
	f := NewFiles(root)
	f.readOnly = true
	return f
}

func rooted(root string) string {
	if root == "" {
		return "/"
	}
	return filepath.Clean(root)
}

// Close closes every file that is open. The Files can be used again.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for path, h := range f.open {
		errs = append(errs, h.Close())
		delete(f.open, path)
	}
	return errors.Join(errs...)
}

// Read returns the setting's live value without white space around it. The hash
// size comes from nf_conntrack_buckets and, where there is no such file, from
// the module parameter.
func (f *Files) Read(s *Setting) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := maxNumber
	if s.Kind == Text {
		size = maxText
	}
	text, err := f.read(s.file, size)
	if err != nil && s.param != "" {
		if fromParam, perr := f.read(s.param, size); perr == nil {
			return fromParam, nil
		}
	}
	return text, err
}

// Figure returns a read-only figure of nf_conntrack, such as "count", by the
// name of its file behind nf_conntrack_.
func (f *Files) Figure(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read(sysctlFile(name), maxNumber)
}

// Write gives value to the kernel in one write(2). The hash size goes through
// nf_conntrack_buckets and, where that may not be written (kernels before 4.7),
// through the module parameter. Errors are the kernel's, see Forbidden and Gone.
func (f *Files) Write(s *Setting, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.write(s.file, value)
	locked := errors.Is(err, syscall.EPERM) // by somebody's guard, which is not to be got round
	if s.param == "" || locked || !(Forbidden(err) || Gone(err)) {
		return err
	}
	switch perr := f.write(s.param, value); {
	case Gone(perr):
		return err
	case Forbidden(perr):
		return errors.Join(err, perr)
	default: // written, or refused for its value
		return perr
	}
}

func (f *Files) read(path string, size int) (string, error) {
	defer f.release(path)
	h, cached := f.open[path]
	if !cached {
		var err error
		if h, err = f.openFile(path); err != nil {
			return "", fmt.Errorf("cannot read setting: %w", err)
		}
	}
	// Not ReadAt: that reads until EOF, twice the system calls.
	n, err := unix.Pread(h.fd, f.buf[:size], 0)
	if err != nil {
		err = &fs.PathError{Op: "read", Path: filepath.Join(f.root, path), Err: err}
		f.forget(path)
		if cached {
			return f.read(path, size)
		}
		return "", fmt.Errorf("cannot read setting: %w", err)
	}
	return strings.TrimSpace(string(f.buf[:n])), nil
}

func (f *Files) write(path, value string) error {
	defer f.release(path)
	h, cached := f.open[path]
	if !cached || h.denied != nil {
		f.forget(path)
		var err error
		if h, err = f.openFile(path); err != nil {
			return fmt.Errorf("cannot write %s: %w", value, err)
		}
		if h.denied != nil {
			return fmt.Errorf("cannot write %s: %w", value, h.denied)
		}
	}
	_, err := h.WriteAt([]byte(value+"\n"), 0)
	if err == nil && f.root != "/" { // a plain file keeps the tail of a longer value
		err = h.Truncate(int64(len(value) + 1))
	}
	if err == nil {
		return nil
	}
	if f.forget(path); cached && Gone(err) {
		return f.write(path, value)
	}
	return fmt.Errorf("cannot write %s: %w", value, err)
}

// openFile opens a setting for reading and writing, or for reading alone where
// writing is not allowed, and remembers it. Never with O_CREATE: in sysfs that
// turns "no such file" into "permission denied".
func (f *Files) openFile(path string) (handle, error) {
	full := filepath.Join(f.root, path)
	var h handle
	var err error
	if f.readOnly {
		err = &fs.PathError{Op: "open", Path: full, Err: fs.ErrPermission}
	} else {
		h.File, err = f.openAs(path, os.O_RDWR)
	}
	if Forbidden(err) {
		h.denied = err
		h.File, err = f.openAs(path, os.O_RDONLY)
	}
	if err != nil {
		return handle{}, err
	}
	h.fd = int(h.Fd())
	f.open[path] = h
	return h, nil
}

// openAs opens a file below the root. In a tree no symbolic link leads out of it:
// an image that somebody hands us must not have us write to this host. Nor does a pipe
// in the place of a file have us wait for its other end.
func (f *Files) openAs(path string, flag int) (*os.File, error) {
	if f.root == "/" {
		return os.OpenFile(filepath.Join(f.root, path), flag, 0)
	}
	root, err := os.OpenRoot(f.root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only a place to begin
	file, err := root.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = &fs.PathError{Op: "open", Path: filepath.Join(f.root, path), Err: inner.Err}
	}
	return file, err
}

// release closes a file that is not kept open.
func (f *Files) release(path string) {
	if f.root != "/" {
		f.forget(path)
	}
}

func (f *Files) forget(path string) {
	if h, ok := f.open[path]; ok {
		_ = h.Close() // nothing is buffered, and it may be dead already
		delete(f.open, path)
	}
}

// Forbidden reports whether err says that this process, in this place, may not
// set the setting at all: EACCES, EPERM, EROFS, EOPNOTSUPP.
func Forbidden(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EOPNOTSUPP)
}

// Gone reports whether err says that the setting is not there, or was there and
// went with the module: ENOENT (sysctl), ENODEV (sysfs).
func Gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}

// Count returns nf_conntrack_count, the number of tracked connections in this
// network namespace.
func (f *Files) Count() (int64, error) {
	text, err := f.Figure("count")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}
