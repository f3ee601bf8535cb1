package dropin

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// File is a file in one of the directories.
type File struct {
	Path string
	// HiddenBy is the path of the file of the same name in an earlier directory, which is read in
	// place of this one; empty if there is none.
	HiddenBy string
	// Masked is true for a link to /dev/null that is not hidden itself. It hides others and has no
	// content.
	Masked bool
}

// Dirs returns the directories of one kind ("sysctl.d"), by precedence.
func Dirs(kind string) []string {
	var dirs []string
	for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
		dirs = append(dirs, path.Join(dir, kind))
	}
	return dirs
}

// List returns the files in directories, the directory of highest precedence first, whose path
// isDropin accepts. They are sorted by name, whatever the directory; of one name the file that is
// read comes first. A directory that is a link to an earlier one is skipped: /lib is a link to
// /usr/lib on most hosts. A missing directory is no error.
func List(t tree.Tree, dirs []string, isDropin func(path string) bool) ([]File, []tree.Trouble) {
	var paths []string
	var troubles []tree.Trouble
	seen := map[string]bool{}
	for _, dir := range dirs {
		end, _, err := t.Resolve(dir)
		if err == nil && seen[end] {
			continue
		}
		seen[end] = true
		names, err := t.List(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			troubles = append(troubles, tree.Trouble{Place: tree.Place{File: dir}, Err: err})
		}
		for _, name := range names {
			if file := path.Join(dir, name); isDropin(file) {
				paths = append(paths, file)
			}
		}
	}
	files := Merge(paths)
	for i := range files {
		files[i].Masked = files[i].HiddenBy == "" && t.IsNull(files[i].Path)
	}
	return files, troubles
}

// Merge sorts the paths of drop-ins by name and sets HiddenBy. paths are in order of precedence.
func Merge(paths []string) []File {
	files := make([]File, len(paths))
	first := map[string]string{} // path by name
	for i, file := range paths {
		name := path.Base(file)
		files[i] = File{Path: file, HiddenBy: first[name]}
		if first[name] == "" {
			first[name] = file
		}
	}
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(path.Base(a.Path), path.Base(b.Path)) })
	return files
}

// HasSuffix returns a function for List that accepts names with an extension, hidden files (".a.conf")
// left out.
func HasSuffix(ext string) func(string) bool {
	return func(file string) bool {
		name := path.Base(file)
		return strings.HasSuffix(name, ext) && !strings.HasPrefix(name, ".")
	}
}
