package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/dropin"
)

const (
	// dropinExt is the extension of a drop-in.
	dropinExt = ".yaml"
	devNull   = "/dev/null"
	// maxErrors limits the errors that are kept, in number: a person mends the first ones first.
	// The others are counted.
	maxErrors = 100
	// maxWarnings limits the warnings in number.
	maxWarnings = 50
	// hashDigits is the length of Config.Hash.
	hashDigits = 12
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
	reader
	layers   []layer
	replaced bool // the embedded default does not apply: a file has settings, or the main file is masked
	files    []string
	contents hash.Hash // of files, one after the other
	hidden   []Hidden
	warnings []string
	errs     Errors
	omitted  int // errors of files of which errs has none
}

func newLoader(s Source) *loader {
	return &loader{contents: sha256.New(), reader: reader{
		tree: s.Tree(), draft: s.Draft, rootOnly: s.RootOnly, left: maxTotalSize, reading: s.reading,
	}}
}

// fail adds the errors of a file, as far as there is room for them. count is how many it has.
func (l *loader) fail(file string, errs Errors, count int) {
	kept := min(len(errs), max(0, maxErrors-len(l.errs)))
	l.errs = append(l.errs, errs[:kept]...)
	switch more := count - kept; {
	case kept == 0:
		l.omitted += more
	case more > 0:
		l.errs = append(l.errs, Error{File: file, Problem: fmt.Sprintf("%d more errors", more)})
	}
}

func (l *loader) failFile(path string, wrong *fault) {
	real := l.tree.Real(path)
	l.fail(real, Errors{wrong.at(position{open: real}, "")}, 1)
}

// loadMain loads the main file. A masked one replaces the embedded default, too.
func (l *loader) loadMain(path string, required bool) {
	l.load(path, required)
	l.replaced = l.replaced || len(l.hidden) > 0
}

// hash returns Config.Hash.
func (l *loader) hash() string {
	if len(l.files) == 0 {
		return ""
	}
	return hex.EncodeToString(l.contents.Sum(nil))[:hashDigits]
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
		l.replaced = true // by what cannot be read
		l.failFile(path, wrong)
		return
	case file.mask != "":
		l.hidden = append(l.hidden, Hidden{File: path, Why: file.mask})
		return
	}
	l.files = append(l.files, path)
	_, _ = l.contents.Write(file.data) // a hash.Hash returns no error
	d := decode(path, l.tree.Real(path), file.data)
	l.replaced = l.replaced || d.hasSettings
	l.layers = append(l.layers, d.layer)
	l.warnings = append(l.warnings, d.warnings...)
	l.fail(d.open, d.errs, d.failed)
}

// loadDropins loads the drop-ins of all directories, sorted by file name.
func (l *loader) loadDropins() {
	var paths []string
	for _, dir := range dropinDirs() {
		names, wrong := l.list(dir)
		if wrong != nil {
			l.failFile(dir, wrong)
		}
		for _, name := range names {
			if isDropin(name) {
				paths = append(paths, filepath.Join(dir, name))
			}
		}
		l.warnIgnored(dir, "")
		if len(paths) > maxDropins {
			l.failFile(dir, newFault("has too many drop-ins", fmt.Sprintf("up to %d in all directories", maxDropins)))
			return
		}
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
	names, _ := listDir(l.tree, dir, nil) // loadDropins reports the error
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
