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
	// maxIndex limits a file of depmod(8), in bytes. For a distribution's whole kernel it is below
	// 1 MiB.
	maxIndex = 4 << 20
)

// moduleDirs returns the parents of the releases' directories. On most hosts the first is a link to
// the second.
func moduleDirs() []string { return []string{"/lib/modules", "/usr/lib/modules"} }

// Release is the running kernel's release (uname -r), from /proc/sys/kernel/osrelease.
func Release(t tree.Tree) (string, error) {
	text, err := t.Read(osrelease, 4096)
	if err != nil {
		return "", fmt.Errorf("cannot read the kernel's release: %w", err)
	}
	release := strings.TrimSpace(string(text))
	if !isRelease(release) {
		return "", fmt.Errorf("cannot read the kernel's release: %s has %.80q", osrelease, release)
	}
	return release, nil
}

// isRelease reports whether a release is one that a kernel can have, and usable as the name of a directory. The
// kernel keeps 64 bytes (__NEW_UTS_LEN).
func isRelease(release string) bool {
	isOther := func(r rune) bool { return r <= ' ' || r > '~' || r == '/' }
	return release != "" && release != "." && release != ".." && len(release) <= 64 &&
		!strings.ContainsFunc(release, isOther)
}

// InstalledReleases returns, sorted, the releases with a modules.dep below /lib/modules or
// /usr/lib/modules.
func InstalledReleases(t tree.Tree) []string {
	var releases []string
	for _, dir := range moduleDirs() {
		names, _ := t.List(dir) // a missing directory has none
		for _, name := range names {
			if t.Exists(path.Join(dir, name, "modules.dep")) {
				releases = append(releases, name)
			}
		}
	}
	slices.Sort(releases)
	return slices.Compact(releases)
}

// Releases returns the release of the running kernel. In a tree without one (an offline disk) it
// returns every installed release.
func Releases(t tree.Tree) []string {
	if release, err := Release(t); err == nil {
		return []string{release}
	}
	return InstalledReleases(t)
}

// Index holds what depmod(8) wrote for one kernel release. Its maps are keyed by module name.
type Index struct {
	// Dir is the release's directory.
	Dir string
	// Files has each module's file relative to Dir, from modules.dep. Old versions of depmod write
	// absolute paths.
	Files map[string]string
	// Depends has all dependencies of each module, direct or not, in the order of modules.dep: the
	// first to be loaded is last.
	Depends map[string][]string
	// BuiltIn has the modules of the kernel image, from modules.builtin.
	BuiltIn map[string]bool
	// Softdeps has the arguments of modules.softdep ("pre: a b post: c").
	Softdeps map[string]string
	Troubles []tree.Trouble
}

// ReadIndex reads modules.dep, modules.builtin and modules.softdep of a release. It returns
// fs.ErrNotExist if the release has no directory. A missing file is a trouble, except modules.softdep,
// which kernels before 3.13 do not have.
func ReadIndex(t tree.Tree, release string) (Index, error) {
	x := Index{
		Files: map[string]string{}, Depends: map[string][]string{}, BuiltIn: map[string]bool{},
		Softdeps: map[string]string{},
	}
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

// read calls add for each line of a file. add reports whether the line is valid.
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
		x.Troubles = append(x.Troubles, newTrouble(file, 0, err))
		return
	}
	var troubles troubleList
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' && !add(line) {
			troubles.add(file, number, fmt.Errorf("invalid line %.80q", line))
		}
	}
	x.Troubles = append(x.Troubles, troubles.list(file)...)
}

// addDepends adds a line of modules.dep: "kernel/a.ko: kernel/b.ko kernel/c.ko".
func (x *Index) addDepends(line string) bool {
	file, depends, colon := strings.Cut(line, ":")
	name, ok := moduleName(file)
	if !colon || !ok {
		return false
	}
	// For one name the first line wins, as in index_search of libkmod.
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

// addSoftdep adds a line of modules.softdep: "softdep NAME pre: a b post: c".
func (x *Index) addSoftdep(line string) bool {
	d, err := parseDirective(line)
	if err != nil || d.Kind != "softdep" {
		return false
	}
	// For one name the first line wins (kmod_module_get_softdeps).
	if _, known := x.Softdeps[d.Module]; !known {
		x.Softdeps[d.Module] = d.Args
	}
	return true
}

// moduleName returns the name of the module in a file (path_to_modname of libkmod), false if the file
// name is not a module's.
func moduleName(file string) (string, bool) {
	base := path.Base(file)
	for _, ext := range []string{".ko", ".ko.gz", ".ko.xz", ".ko.zst"} {
		if name, ok := strings.CutSuffix(base, ext); ok && name != "" {
			return NormalizeName(name), true
		}
	}
	return "", false
}

// Path returns the path of a module's file according to modules.dep, or "".
func (x Index) Path(module string) string {
	file, known := x.Files[NormalizeName(module)]
	switch {
	case !known:
		return ""
	case path.IsAbs(file):
		return path.Clean(file)
	}
	return path.Join(x.Dir, file)
}
