package sysfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/rawio"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// The kernel makes and clears a buffer of the size that is asked for
// (proc_sys_call_handler), so numbers ask for little.
const (
	maxNumber = 64
	maxText   = 4096 // one page, more than any sysctl prints
)

// Files reads and writes the kernel's setting files.
//
// On the running system it keeps them open: a read then costs one pread(2). Descriptors that
// died with the module (ENOENT, ENODEV after an unload or a reload) are opened again; open
// descriptors do not pin the module. Below another root the files may be plain ones, which
// outlive their names, and are opened for each access.
//
// A Files is safe for use by several goroutines.
type Files struct {
	host     tree.Tree
	readOnly bool

	mu   sync.Mutex
	open map[string]*handle
	buf  [maxText]byte
}

// handle is an open file, and what was last read from it: a value that has not changed is not parsed again.
type handle struct {
	path   string
	fd     int
	file   *os.File // what fd belongs to; nil on the running system
	denied error    // why it was opened read-only, or nil

	line    []byte // the line that was last written
	bytes   []byte
	text    string   // of a figure
	setting *Setting // nil for a figure
	value   Value
}

// NewFiles returns the setting files of a host.
func NewFiles(host tree.Tree) *Files {
	return &Files{host: host, open: map[string]*handle{}}
}

// NewReader returns setting files that are opened read-only: Write fails with fs.ErrPermission.
func NewReader(host tree.Tree) *Files {
	f := NewFiles(host)
	f.readOnly = true
	return f
}

// ReadAll returns the live value of every setting of the catalogue that the host's kernel has and
// this process may read, by name, as the kernel prints it.
func ReadAll(host tree.Tree) map[string]string {
	files := NewReader(host)
	defer func() { _ = files.Close() }() // opened for reading only
	values := map[string]string{}
	for _, setting := range Catalogue() {
		if value, err := files.Read(setting); err == nil {
			values[setting.Name] = value.String()
		}
	}
	return values
}

// Close closes every open file. The Files can be used again.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for path, h := range f.open {
		errs = append(errs, h.close())
		delete(f.open, path)
	}
	return errors.Join(errs...)
}

// Read returns the setting's live value. The hash size comes from nf_conntrack_buckets or, see
// mayUseParameter, from the module parameter. Errors are the kernel's, see Forbidden and Gone.
func (f *Files) Read(s *Setting) (Value, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := maxNumber
	if s.Kind == Text {
		size = maxText
	}
	h, err := f.read(s.file, size, s)
	if err != nil && s.param != "" && f.mayUseParameter(err) {
		if fromParam, perr := f.read(s.param, size, s); perr == nil {
			h, err = fromParam, nil
		}
	}
	if err != nil {
		return Value{}, err
	}
	return h.value, nil
}

// Figure returns the text of the file nf_conntrack_NAME, such as "count".
func (f *Files) Figure(name string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.read(sysctlFile(name), maxNumber, nil)
	if err != nil {
		return "", err
	}
	return h.text, nil
}

// WritesStrict returns kernel.sysctl_writes_strict. With 1, the default, the kernel ignores a write to a sysctl that
// does not begin at offset 0 (proc_first_pos_non_zero_ignore, admin-guide/sysctl/kernel.rst).
func (f *Files) WritesStrict() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h, err := f.read(strictFile, maxNumber, nil)
	if err != nil {
		return "", err
	}
	return h.text, nil
}

// Write writes the value in one write(2). The hash size goes through nf_conntrack_buckets or, see
// mayUseParameter, through the module parameter. EPERM is a BPF program's refusal, as of another
// ctkeeper's lock: it is not bypassed through the parameter. Errors are the kernel's, see
// Forbidden and Gone.
func (f *Files) Write(s *Setting, value Value) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.write(s.file, value, s.param != "")
	if err == nil || s.param == "" || errors.Is(err, syscall.EPERM) || !f.mayUseParameter(err) {
		return err
	}
	switch perr := f.write(s.param, value, true); {
	case Gone(perr):
		return err
	case Forbidden(perr):
		return errors.Join(err, perr)
	default: // written, or refused for its value
		return perr
	}
}

// mayUseParameter reports whether the module parameter may be used after an access of nf_conntrack_buckets
// failed with err: where that file is read-only (kernels before 4.7) or never was there, and only while
// the module is live. A file that has just gone means that the module is going, and then the parameter
// must not be written: on 6.1 nf_conntrack_set_hashsize resizes a table that is being freed (use after
// free in nf_conntrack_hash_resize) and the kernel panics. The sysctls are unregistered before that. The
// module's state is "going" before its exit function is called (delete_module), and that frees the table
// only after it has waited for RCU.
func (f *Files) mayUseParameter(err error) bool {
	if Gone(err) {
		// The module's sysctls come and go as one table.
		if _, err := f.read(sysctlFile("count"), maxNumber, nil); err != nil {
			return false
		}
	} else if !Forbidden(err) {
		return false
	}
	state, err := f.read(initstateFile, maxNumber, nil)
	return err != nil || state.text == "live" // a module in the kernel image has no initstate
}

// read reads a file, and parses it as the value of a setting unless that is nil.
func (f *Files) read(path string, size int, s *Setting) (*handle, error) {
	h := f.open[path]
	cached := h != nil
	if !cached {
		var err error
		if h, err = f.openFile(path); err != nil {
			return nil, fmt.Errorf("cannot read setting: %w", err)
		}
	}
	// Not ReadAt: it reads until EOF, which is twice the system calls.
	n, errno := rawio.Read(h.fd, f.buf[:size])
	if errno != 0 {
		err := &fs.PathError{Op: "read", Path: h.path, Err: errno}
		f.forget(path)
		if cached {
			return f.read(path, size, s)
		}
		return nil, fmt.Errorf("cannot read setting: %w", err)
	}
	if h.bytes == nil || h.setting != s || !bytes.Equal(h.bytes, f.buf[:n]) {
		h.bytes, h.setting = append(h.bytes[:0], f.buf[:n]...), s
		if text := bytes.TrimSpace(h.bytes); s == nil {
			h.text = string(text)
		} else {
			h.value = s.parse(text)
		}
	}
	f.release(path)
	return h, nil
}

// write writes a value and a newline in one write(2). mayBlock is true where that can take long.
func (f *Files) write(path string, value Value, mayBlock bool) error {
	defer f.release(path)
	h := f.open[path]
	cached := h != nil
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
	err := h.writeLine(value, mayBlock)
	if err == nil && !f.host.Live() { // a plain file keeps the tail of a longer value
		err = unix.Ftruncate(h.fd, int64(len(h.line)))
	}
	if err == nil {
		return nil
	}
	if f.forget(path); cached && Gone(err) {
		return f.write(path, value, mayBlock)
	}
	return fmt.Errorf("cannot write %s: %w", value, err)
}

func (h *handle) writeLine(value Value, mayBlock bool) error {
	h.line = append(value.append(h.line[:0]), '\n')
	var err error
	if mayBlock {
		_, err = unix.Pwrite(h.fd, h.line, 0)
	} else if _, errno := rawio.Write(h.fd, h.line); errno != 0 {
		err = errno
	}
	if err != nil {
		return &fs.PathError{Op: "write", Path: h.path, Err: err}
	}
	return nil
}

func (h *handle) close() error {
	if h.file != nil {
		return h.file.Close()
	}
	return unix.Close(h.fd)
}

// openFile opens a setting file for reading and writing, or read-only where writing is not
// allowed, and adds it to f.open. Never with O_CREATE: in sysfs that turns "no such file" into
// "permission denied".
func (f *Files) openFile(path string) (*handle, error) {
	h := &handle{path: f.host.Real("/" + path)}
	var err error
	if f.readOnly {
		err = &fs.PathError{Op: "open", Path: h.path, Err: fs.ErrPermission}
	} else {
		err = f.openAs(h, path, os.O_RDWR)
	}
	if Forbidden(err) {
		h.denied = err
		err = f.openAs(h, path, os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	f.open[path] = h
	return h, nil
}

// openAs opens a file below the root. On the running system that is one system call: os.OpenFile makes
// three more, to see whether the file can be polled. In another tree no symbolic link
// leads out of it: a foreign image must not make ctkeeper write to this host. O_NONBLOCK: a
// named pipe in place of a file must not block.
func (f *Files) openAs(h *handle, path string, flag int) (err error) {
	if f.host.Live() {
		for {
			if h.fd, err = unix.Open(h.path, flag|unix.O_CLOEXEC, 0); err == nil {
				return nil
			} else if !errors.Is(err, unix.EINTR) {
				return &fs.PathError{Op: "open", Path: h.path, Err: err}
			}
		}
	}
	root, err := os.OpenRoot(f.host.Root())
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // opened read-only
	h.file, err = root.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		return &fs.PathError{Op: "open", Path: h.path, Err: inner.Err}
	} else if err != nil {
		return err
	}
	h.fd = int(h.file.Fd())
	return nil
}

// release closes the file, unless this is the running system.
func (f *Files) release(path string) {
	if !f.host.Live() {
		f.forget(path)
	}
}

func (f *Files) forget(path string) {
	if h, ok := f.open[path]; ok {
		_ = h.close() // nothing is buffered, and it may be dead already
		delete(f.open, path)
	}
}

// Forbidden reports whether err means that this process may not write the setting at all, in
// this network namespace or container: EACCES, EPERM, EROFS, EOPNOTSUPP.
func Forbidden(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) || errors.Is(err, syscall.EOPNOTSUPP)
}

// Gone reports whether err means that the setting's file does not exist, or went away with the
// module: ENOENT (sysctl), ENODEV (sysfs).
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
