package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrUntrusted is the error of a file or directory that somebody other than root can change, where
// Source.RootOnly refuses those.
var ErrUntrusted = errors.New("somebody other than root can change it")

// checkTrusted refuses a file or directory that was opened at path, if somebody other than root can change
// it, or put another one in its place: that is, change a directory on the way, or a link in a sticky
// directory. Nobody can swap what was found trusted here before it is used.
func (r *reader) checkTrusted(path string, file *os.File) *fault {
	if !r.rootOnly {
		return nil
	}
	_, steps, err := r.tree.Resolve(path)
	if err != nil {
		return readFault(err)
	}
	for _, step := range steps {
		var dir, entry unix.Stat_t
		above := r.tree.Real(step.Dir)
		name := filepath.Join(above, step.Name)
		if err := errors.Join(unix.Stat(above, &dir), unix.Lstat(name, &entry)); err != nil {
			return readFault(err)
		}
		if !isTrusted(&dir) && !isReadOnly(above) {
			return untrusted(above, &dir)
		}
		if isShared(&dir) && entry.Uid != 0 {
			return untrusted(name, &entry)
		}
	}
	var stat unix.Stat_t
	var system unix.Statfs_t
	if err := errors.Join(unix.Fstat(int(file.Fd()), &stat), unix.Fstatfs(int(file.Fd()), &system)); err != nil {
		return readFault(err)
	}
	if !isTrusted(&stat) && system.Flags&unix.ST_RDONLY == 0 {
		return untrusted(r.tree.Real(path), &stat)
	}
	return nil
}

// isTrusted reports whether only root can change a file, or the entries of a directory that are root's. An
// access control list that lets others write shows in the mode of the group (acl(5)).
func isTrusted(stat *unix.Stat_t) bool { return stat.Uid == 0 && (!isWritable(stat) || isShared(stat)) }

func isWritable(stat *unix.Stat_t) bool { return stat.Mode&0o022 != 0 }

// isShared reports whether a directory is one in which others may make entries, and change their own alone
// (sticky, inode(7)).
func isShared(stat *unix.Stat_t) bool {
	return stat.Mode&unix.S_IFMT == unix.S_IFDIR && stat.Mode&unix.S_ISVTX != 0 && isWritable(stat)
}

// isReadOnly reports whether a directory is on a read-only mount, as the kubelet mounts a ConfigMap: with
// mode 0777.
func isReadOnly(dir string) bool {
	var system unix.Statfs_t
	return unix.Statfs(dir, &system) == nil && system.Flags&unix.ST_RDONLY != 0
}

func untrusted(name string, stat *unix.Stat_t) *fault {
	return &fault{
		problem: fmt.Sprintf("%s is of user %d and has mode %04o: %v", name, stat.Uid, stat.Mode&0o7777, ErrUntrusted),
		allowed: fmt.Sprintf("chown root %s; chmod go-w %s", name, name), err: ErrUntrusted,
	}
}
