package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Replace writes a whole file atomically (rename(2)), with this mode whatever the umask is. It creates
// missing directories above it (0755). It replaces what is at path, also a symbolic link; links in the
// directories above resolve within the tree. Errors are *fs.PathError with the tree's path.
func (t Tree) Replace(path string, data []byte, mode fs.FileMode) (err error) {
	dir, err := t.locate("open", filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return within("mkdir", filepath.Dir(path), err)
	}
	sweep(dir, filepath.Base(path))
	// A dot file, so that readers of the directory ignore the unfinished file.
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return within("create", path, err)
	}
	defer func() {
		if err != nil {
			err = within("write", path, err)
			_ = os.Remove(file.Name()) // the first error is reported
		}
	}()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(dir, filepath.Base(path)))
}

// leftAfter is the age from which an unfinished file is known to be abandoned.
const leftAfter = time.Minute

// sweep removes the unfinished files of killed writers. It ignores errors: readers of the directory ignore
// these files.
func sweep(dir, base string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		number, ours := strings.CutPrefix(entry.Name(), "."+base+".")
		if _, err := strconv.ParseUint(number, 10, 32); !ours || err != nil || !entry.Type().IsRegular() {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > leftAfter {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// Remove removes a file, or a symbolic link but not its target. It reports whether path existed.
func (t Tree) Remove(path string) (bool, error) {
	dir, err := t.locate("remove", filepath.Dir(path))
	if err != nil {
		return false, err
	}
	sweep(dir, filepath.Base(path))
	err = os.Remove(filepath.Join(dir, filepath.Base(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, within("remove", path, err)
	}
	return true, nil
}
