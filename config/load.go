package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// dropinExt is the extension of a drop-in.
	dropinExt = ".yaml"
	devNull   = "/dev/null"
	// maxFileSize is far above any sensible configuration and far below what would take long
	// to parse.
	maxFileSize = 1 << 20
)

// dropinDirs returns the directories of drop-ins. A file in one of them hides files of the same
// name in those after it.
func dropinDirs() []string {
	return []string{"/etc/ctkeeper/conf.d", "/run/ctkeeper/conf.d", "/usr/lib/ctkeeper/conf.d"}
}

// isDropin reports whether a file name is that of a drop-in.
func isDropin(name string) bool { return dropin.HasSuffix(dropinExt)(name) }

// loader collects the layers of one configuration, and all errors in them.
type loader struct {
	tree     tree.Tree
	draft    map[string][]byte
	layers   []layer
	found    bool // there is a file: the embedded default does not apply
	files    []string
	hidden   []Hidden
	warnings []string
	errs     Errors
}

// loadMain loads the main file. A masked one still counts as found.
func (l *loader) loadMain(path string, required bool) {
	l.load(path, required)
	l.found = l.found || len(l.hidden) > 0
}

// load loads one file, if it exists.
func (l *loader) load(path string, required bool) {
	file, wrong := l.read(path)
	missing := wrong != nil && errors.Is(wrong.err, fs.ErrNotExist)
	switch gone := missing && l.tree.Gone(path); {
	case gone && !required:
		return
	case wrong != nil:
		if missing && !gone {
			wrong.problem, wrong.allowed = "is a link to a file that does not exist", "a file, or a link to "+devNull
		}
		l.found = true
		l.errs = append(l.errs, wrong.at(position{open: l.tree.Real(path)}, ""))
		return
	case file.mask != "":
		l.hidden = append(l.hidden, Hidden{File: path, Why: file.mask})
		return
	}
	l.found = true
	l.files = append(l.files, path)
	decoded, warnings, errs := decode(path, l.tree.Real(path), file.data)
	l.layers = append(l.layers, decoded)
	l.warnings = append(l.warnings, warnings...)
	l.errs = append(l.errs, errs...)
}

// loadDropins loads the drop-ins of all directories, sorted by file name.
func (l *loader) loadDropins() {
	var paths []string
	for _, dir := range dropinDirs() {
		names, wrong := l.list(dir)
		if wrong != nil {
			l.errs = append(l.errs, wrong.at(position{open: l.tree.Real(dir)}, ""))
		}
		for _, name := range names {
			if isDropin(name) {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
		l.warnIgnored(dir, "")
	}
	for _, file := range dropin.Merge(paths) {
		if file.HiddenBy != "" {
			l.hidden = append(l.hidden, Hidden{File: file.Path, Why: "hidden by " + file.HiddenBy})
			continue
		}
		l.load(file.Path, false)
	}
}

// warnIgnored warns of files that look like configuration and are not read: those with another
// extension whose name is stem, or any name where stem is empty.
func (l *loader) warnIgnored(dir, stem string) {
	names, _ := list(l.tree, dir)
	for _, name := range names {
		ext := filepath.Ext(name)
		base := strings.TrimSuffix(name, ext)
		if ext == dropinExt || base == "" || stem != "" && base != stem {
			continue
		}
		if slices.Contains([]string{".yml", dropinExt, ".conf", ".json", ".toml"}, strings.ToLower(ext)) {
			l.warnings = append(l.warnings,
				filepath.Join(dir, name)+" is not read: its name does not end in "+dropinExt)
		}
	}
}

// read is readFile, with the draft in place of the files that it has.
func (l *loader) read(path string) (content, *fault) {
	data, inDraft := l.draft[path]
	switch {
	case !inDraft:
		return readFile(l.tree, path)
	case len(data) == 0:
		return content{mask: "empty file"}, nil
	}
	return content{data: data}, nil
}

// list is the function list, with the draft in place of the files that it has.
func (l *loader) list(dir string) ([]string, *fault) {
	names, wrong := list(l.tree, dir)
	for path, data := range l.draft {
		if filepath.Dir(path) != dir {
			continue
		}
		name := filepath.Base(path)
		names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		if data != nil {
			names = append(names, name)
		}
	}
	return names, wrong
}

// content is the content of a file.
type content struct {
	data []byte
	// mask is why the file is a mask, as in Hidden.Why; empty where it is not.
	mask string
}

// readFile reads a whole configuration file.
func readFile(t tree.Tree, path string) (content, *fault) {
	if t.IsNull(path) {
		return content{mask: "link to " + devNull}, nil
	}
	data, err := t.Read(path, maxFileSize)
	switch {
	case errors.Is(err, syscall.EISDIR):
		return content{}, &fault{problem: "is a directory", allowed: "a file", err: syscall.EISDIR}
	case errors.Is(err, tree.ErrNotRegular):
		return content{}, newFault("is neither a file nor a link to one", "a file, or a link to "+devNull)
	case errors.Is(err, tree.ErrTooLarge):
		return content{}, newFault("is too large", "up to "+FormatBytes(maxFileSize))
	case err != nil:
		return content{}, readFault(err)
	case len(data) == 0:
		return content{mask: "empty file"}, nil
	}
	return content{data: data}, nil
}

// list returns the names in a directory, and nothing where it does not exist.
func list(t tree.Tree, dir string) ([]string, *fault) {
	names, err := t.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !t.IsNull(dir) {
		return nil, readFault(err)
	}
	return names, nil
}

// readFault returns the fault of a system error, without the path: an Error begins with it.
func readFault(err error) *fault {
	cause := err
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		cause = pathError.Err
	}
	return &fault{problem: "cannot read: " + cause.Error(), err: err}
}
