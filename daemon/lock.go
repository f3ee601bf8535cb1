package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

const (
	// lockName is the lock file's name beside the status socket.
	lockName = "ctkeeper.lock"
	// lockMode: who can open the file can hold the lock, and so keep ctkeeper from starting. So it is
	// not an abstract socket either, whose name every user can take.
	lockMode = 0o600
)

// lock makes this the only daemon of the host, or of the root: it takes the lock that a daemon holds for
// life, flock(2) on a file that is never removed. The kernel releases it when the process ends,
// however it ends. Two daemons that want different values would write against each other.
//
// Where there can be no such file (a read-only root, a full /run) the daemon runs without it, and the file
// is nil: keeping the settings matters more.
func (d *Daemon) lock() (*os.File, error) {
	dir := filepath.Dir(d.opts.Socket)
	path := filepath.Join(dir, lockName)
	var file *os.File
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		if file, err = openLock(path); errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("cannot tell whether another ctkeeper is running, which root can: %w", err)
		}
	}
	if err != nil {
		d.opts.Log.Warn("running without the lock that keeps a second ctkeeper from starting", zap.Error(err))
		return nil, nil
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("another ctkeeper is running%s: it holds %s", lockHolder(file), path)
	case err != nil:
		err = fmt.Errorf("cannot lock %s: %w", path, err)
	default: // the pid is for the message alone
		if file.Truncate(0) == nil {
			_, _ = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		}
		return file, nil
	}
	return nil, errors.Join(err, file.Close())
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

// lockHolder returns " (pid N)" from the lock file, or "".
func lockHolder(file *os.File) string {
	text := make([]byte, 16)
	n, _ := file.ReadAt(text, 0) // io.EOF: the file is shorter
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
