package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/logging"
)

const (
	// lockName is the lock file's name beside the status socket.
	lockName = "ctkeeper.lock"
	// lockMode: who can open the file can hold the lock, and so keep ctkeeper from starting. So it is
	// not an abstract socket either, whose name every user can take.
	lockMode = 0o600
	// maxLockFile bounds how many bytes of it are read.
	maxLockFile = 4096
)

// takeLock makes this the only daemon of the host, or of the root: it takes the lock that a daemon holds for
// life, flock(2) on a file that is never removed. The kernel releases it when the process ends,
// however it ends. Two daemons that want different values would write against each other.
//
// Where there can be no such file (a read-only root, a full /run) the daemon runs without it, and the file
// is nil: keeping the settings matters more. So does one that may not open the file, unless a status socket
// is there that it may not use, or that answers.
func (d *Daemon) takeLock() (*lockFile, error) {
	dir := filepath.Dir(d.opts.Socket)
	path := filepath.Join(dir, lockName)
	var file *os.File
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		if file, err = openLock(path); errors.Is(err, fs.ErrPermission) && mayAnswer(d.opts.Socket) {
			return nil, fmt.Errorf("cannot tell whether another ctkeeper is running, which root can: %w", err)
		}
	}
	if err != nil {
		d.opts.Log.Warn("running without the lock that keeps a second ctkeeper from starting", logging.Error(err))
		return nil, nil
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("another ctkeeper is running%s: it holds %s; ctkeeper status shows it",
			readLock(file).holder(), path)
	case err != nil:
		err = fmt.Errorf("cannot lock %s: %w", path, err)
	default:
		l := &lockFile{File: file, content: readLock(file)}
		if !isOwn(file) {
			l.content.Resize = nil
		}
		l.content.PID = os.Getpid()
		l.write()
		return l, nil
	}
	return nil, errors.Join(err, file.Close())
}

// mayAnswer reports whether a status socket answers, or may answer others.
func mayAnswer(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// openLock opens the lock file, or creates it for the owner of its directory: where root runs the daemon by
// hand first, the service's user has to open it later. The directory is that user's: root must not
// write to a file of others that the user put there as a link.
func openLock(path string) (*os.File, error) {
	const flags = os.O_RDWR | unix.O_NOFOLLOW | unix.O_NONBLOCK
	file, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, lockMode)
	isNew := err == nil
	if errors.Is(err, fs.ErrExist) {
		file, err = os.OpenFile(path, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	var own, owner unix.Stat_t
	err = errors.Join(unix.Fstat(int(file.Fd()), &own), unix.Stat(filepath.Dir(path), &owner))
	if err == nil && (own.Mode&unix.S_IFMT != unix.S_IFREG || own.Nlink != 1) {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file with one name")}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if isNew && own.Uid != owner.Uid {
		_ = file.Chown(int(owner.Uid), int(owner.Gid)) // who may not do that is no root
	}
	return file, nil
}

// lockFile is the lock that this daemon holds. Its content is for a second daemon's error, and for
// the next daemon. The methods of a nil lockFile do nothing.
type lockFile struct {
	*os.File
	content lockContent
}

type lockContent struct {
	PID    int         `json:"pid"`
	Resize *resizeMark `json:"resize,omitempty"`
}

// holder returns " (pid N)", or "" where there is none.
func (c lockContent) holder() string {
	if c.PID == 0 {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", c.PID)
}

// resize returns what the last daemon left in setResize, or nil.
func (l *lockFile) resize() *resizeMark {
	if l == nil {
		return nil
	}
	return l.content.Resize
}

// setResize stores a resize for the next daemon; nil is none.
func (l *lockFile) setResize(mark *resizeMark) {
	if l != nil {
		l.content.Resize = mark
		l.write()
	}
}

// write ignores errors: the lock holds without its content. The file system is not a disk's, in /run.
func (l *lockFile) write() {
	text, err := json.Marshal(l.content)
	if err != nil {
		return
	}
	if _, err := l.WriteAt(append(text, '\n'), 0); err == nil {
		_ = l.Truncate(int64(len(text) + 1))
	}
}

// readLock returns the content of a lock file, or none where it is not a daemon's.
func readLock(file *os.File) (content lockContent) {
	// Only the first value: a daemon that was killed before Truncate leaves the end of an older content.
	err := json.NewDecoder(io.NewSectionReader(file, 0, maxLockFile)).Decode(&content)
	if err != nil {
		return lockContent{}
	}
	return content
}

// isOwn reports whether a file is this user's: root does nothing by what the service's user wrote.
func isOwn(file *os.File) bool {
	var stat unix.Stat_t
	return unix.Fstat(int(file.Fd()), &stat) == nil && stat.Uid == uint32(os.Geteuid())
}
