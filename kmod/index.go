package kmod

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	osrelease = "/proc/sys/kernel/osrelease"
	// maxIndex is the longest file of depmod(8) that is read, in bytes; that of a
	// distribution's whole kernel is below 1 MiB.
	maxIndex = 4 << 20
)

// moduleDirs are where a release has its directory; the second is where the first
// leads to on most hosts.
func moduleDirs() []string { return []string{"/lib/modules", "/usr/lib/modules"} }

// Release is the running kernel's release (uname -r), from /proc/sys/kernel/osrelease.
func Release(t tree.Tree) (string, error) {
	text, err := t.Read(osrelease, 4096)
	if err != nil {
		return "", fmt.Errorf("cannot tell the kernel's release: %w", err)
	}
	release := strings.TrimSpace(string(text))
	if !isRelease(release) {
		return "", fmt.Errorf("cannot tell the kernel's release: %s has %.80q", osrelease, release)
	}
	return release, nil
}

// isRelease reports whether a release can be the name of a directory.
func isRelease(release string) bool {
	return release != "" && release != "." && release != ".." && !strings.ContainsAny(release, "/\x00")
}

// Installed gives the releases that have a directory with modules.dep below
// /lib/modules or /usr/lib/modules, sorted.
func Installed(t tree.Tree) []string {
	var releases []string
	for _, dir := range moduleDirs() {
		names, _ := t.List(dir) // what is not there has none
		for _, name := range names {
			if t.Exists(path.Join(dir, name, "modules.dep")) {
				releases = append(releases, name)
			}
		}
	}
	slices.Sort(releases)
	return slices.Compact(releases)
}

// Releases gives the release of the running kernel, or on a disk, where none runs,
// every installed one.
func Releases(t tree.Tree) []string {
	if release, err := Release(t); err == nil {
		return []string{release}
	}
	return Installed(t)
}

// Index is what depmod(8) wrote for one kernel release.
type Index struct {
	// Dir is the release's directory.
	Dir string
	// Files has each module's file by its name, relative to Dir, from modules.dep.
	// Old versions of depmod write absolute paths.
	Files map[string]string
	// Depends has each module's dependencies by name, all of them, the first to be
	// loaded last, as modules.dep has them.
	Depends map[string][]string
	// BuiltIn has the modules of the kernel image, from modules.builtin.
	BuiltIn map[string]bool
	// Softdeps has "pre: a b post: c" of modules.softdep by module.
	Softdeps map[string]string
	Troubles []tree.Trouble
}

// ReadIndex reads modules.dep, modules.builtin and modules.softdep of a release. A
// directory that is not there is an error, fs.ErrNotExist. A file that is not there
// is a trouble, except modules.softdep, which kernels before 3.13 do not have.
func ReadIndex(t tree.Tree, release string) (Index, error) {
	x := Index{Files: map[string]string{}, Depends: map[string][]string{}, BuiltIn: map[string]bool{}, Softdeps: map[string]string{}}
	if !isRelease(release) {
		return x, fmt.Errorf("cannot read the modules of release %.80q: %w", release, fs.ErrNotExist)
	}
	var err error
	for _, dir := range moduleDirs() {
		x.Dir = path.Join(dir, release)
		if _, err = t.List(x.Dir); err == nil {
			break
		}
	}
	if err != nil {
		x.Dir = path.Join(moduleDirs()[0], release)
		return x, fmt.Errorf("cannot read the modules of release %s: %w", release, err)
	}
	x.read(t, "modules.dep", x.addDepends)
	x.read(t, "modules.builtin", x.addBuiltIn)
	x.read(t, "modules.softdep", x.addSoftdep)
	return x, nil
}

// read hands each line of a file to add, which reports whether it makes sense.
func (x *Index) read(t tree.Tree, name string, add func(line string) bool) {
	file := path.Join(x.Dir, name)
	text, err := t.Read(file, maxIndex)
	switch {
	case errors.Is(err, fs.ErrNotExist) && name == "modules.softdep":
		return
	case err == nil && bytes.IndexByte(text, 0) >= 0:
		err = ErrBinary
	}
	if err != nil {
		x.Troubles = append(x.Troubles, trouble(file, 0, err))
		return
	}
	var troubles complaints
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !add(line) {
			troubles.add(file, number, fmt.Errorf("cannot understand %.80q", line))
		}
	}
	x.Troubles = append(x.Troubles, troubles.list(file)...)
}

// addDepends takes "kernel/a.ko: kernel/b.ko kernel/c.ko".
func (x *Index) addDepends(line string) bool {
	file, depends, colon := strings.Cut(line, ":")
	name, ok := moduleName(file)
	if !colon || !ok {
		return false
	}
	// The first line of a name is the one that counts, as in index_search of libkmod.
	if _, known := x.Files[name]; known {
		return true
	}
	x.Files[name] = file
	for file := range strings.FieldsSeq(depends) {
		if other, ok := moduleName(file); ok {
			x.Depends[name] = append(x.Depends[name], other)
		}
	}
	return true
}

func (x *Index) addBuiltIn(line string) bool {
	name, ok := moduleName(line)
	if ok {
		x.BuiltIn[name] = true
	}
	return ok
}

// addSoftdep takes "softdep NAME pre: a b post: c".
func (x *Index) addSoftdep(line string) bool {
	d, err := parseDirective(line)
	if err != nil || d.Kind != "softdep" {
		return false
	}
	// The first line of a name is the one that counts (kmod_module_get_softdeps).
	if _, known := x.Softdeps[d.Module]; !known {
		x.Softdeps[d.Module] = d.Args
	}
	return true
}

// moduleName is a module's name by its file (path_to_modname of libkmod); false for
// what is not a module's file.
func moduleName(file string) (string, bool) {
	base := path.Base(file)
	for _, ext := range []string{".ko", ".ko.gz", ".ko.xz", ".ko.zst"} {
		if name, ok := strings.CutSuffix(base, ext); ok && name != "" {
			return underscores(name), true
		}
	}
	return "", false
}

// Path is where a module's file should be, by modules.dep, or "".
func (x Index) Path(module string) string {
	file, known := x.Files[underscores(module)]
	switch {
	case !known:
		return ""
	case path.IsAbs(file):
		return path.Clean(file)
	}
	return path.Join(x.Dir, file)
}
