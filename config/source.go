package config

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// DefaultMain is the main file where no other is named.
const DefaultMain = "/etc/ctkeeper/ctkeeper.yaml"

// dropinExt ends the name of a drop-in.
const dropinExt = ".yaml"

const devNull = "/dev/null"

// dropinDirs returns the drop-ins' directories, the one that hides the others
// first.
func dropinDirs() []string {
	return []string{"/etc/ctkeeper/conf.d", "/run/ctkeeper/conf.d", "/usr/lib/ctkeeper/conf.d"}
}

// Source says where the configuration is.
//
// With the default main file, drop-ins conf.d/*.yaml of /usr/lib/ctkeeper,
// /run/ctkeeper and /etc/ctkeeper follow it, sorted together by file name; a
// file in /etc hides one of the same name in /run, and that one in /usr/lib. An
// empty file or a link to /dev/null masks. Without any file the embedded default
// holds. A main file that is empty or masked is a file all the same: it says
// that nothing is asked for, and the embedded default does not apply.
//
// Paths in a Config are as the host below Root sees them; paths in an Error
// begin with Root, so that they can be opened.
type Source struct {
	// Root is the directory below which everything is read, symbolic links
	// included; empty or "/" is the running system.
	Root string
	// Main is the main file as the host sees it, without Root; empty is
	// DefaultMain. Any other file is read alone, without drop-ins, as
	// systemd-tmpfiles FILE and sysctl -p FILE do: what is named is what counts.
	Main string
	// MainRequired makes a missing main file an error: somebody named it.
	MainRequired bool
	// Draft has drop-ins as they would be, by path: Load then tells what they would come
	// to. A nil content is a drop-in that is not there.
	Draft map[string][]byte
}

// Load reads, merges and validates. The error is Errors, all of them at once.
func (s Source) Load() (*Config, error) {
	return s.load().config()
}

// Check validates each of the files as if it were the only one; without files,
// what Load would read. Files are below Root too. The error is Errors.
func (s Source) Check(files ...string) (warnings []string, err error) {
	if len(files) == 0 {
		return checked(s.Load())
	}
	var errs Errors
	for _, file := range files {
		l := loader{tree: tree.At(s.Root)}
		l.main(file, true)
		found, err := checked(l.config())
		warnings = append(warnings, found...)
		var wrong Errors
		errors.As(err, &wrong)
		errs = append(errs, wrong...)
	}
	return warnings, errs.orNil()
}

func checked(c *Config, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	return c.Warnings, nil
}

func (s Source) main() string {
	if s.Main == "" {
		return DefaultMain
	}
	return s.Main
}

// dropins reports whether drop-ins count.
func (s Source) dropins() bool { return filepath.Clean(s.main()) == DefaultMain }

func (s Source) load() *loader {
	l := &loader{tree: tree.At(s.Root), draft: s.Draft}
	l.main(s.main(), s.MainRequired)
	if s.dropins() {
		l.mistaken(filepath.Dir(DefaultMain), "ctkeeper")
		l.dropins()
	}
	return l
}

// loader gathers the layers of one configuration and all that is wrong.
type loader struct {
	tree     tree.Tree
	draft    map[string][]byte
	layers   []layer
	found    bool // a file says something: the embedded default does not hold
	files    []string
	hidden   []Hidden
	warnings []string
	errs     Errors
}

// main reads the main file. A masked one is a file that asks for nothing.
func (l *loader) main(path string, required bool) {
	l.file(path, required)
	l.found = l.found || len(l.hidden) > 0
}

// file reads one file, if it is there.
func (l *loader) file(path string, required bool) {
	got, wrong := l.read(path)
	switch {
	case wrong != nil && !required && errors.Is(wrong.err, fs.ErrNotExist) && l.tree.Gone(path):
		return
	case wrong != nil && errors.Is(wrong.err, fs.ErrNotExist) && !l.tree.Gone(path):
		wrong.problem, wrong.allowed = "is a link to a file that does not exist", "a file, or a link to "+devNull
		fallthrough
	case wrong != nil:
		l.found = true
		l.errs = append(l.errs, wrong.at(position{open: l.tree.Real(path)}, ""))
		return
	case got.masked != "":
		l.hidden = append(l.hidden, Hidden{File: path, Why: got.masked})
		return
	}
	l.found = true
	l.files = append(l.files, path)
	decoded, warnings, errs := decode(path, l.tree.Real(path), got.data)
	l.layers = append(l.layers, decoded)
	l.warnings = append(l.warnings, warnings...)
	l.errs = append(l.errs, errs...)
}

// dropins reads the drop-ins of all three directories.
func (l *loader) dropins() {
	first := map[string]string{} // file name → the path that hides the others
	for _, dir := range dropinDirs() {
		names, wrong := l.list(dir)
		if wrong != nil {
			l.errs = append(l.errs, wrong.at(position{open: l.tree.Real(dir)}, ""))
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			switch by, taken := first[name]; {
			case !isDropin(name):
				continue
			case taken:
				l.hidden = append(l.hidden, Hidden{File: path, Why: "hidden by " + by})
			default:
				first[name] = path
			}
		}
		l.mistaken(dir, "")
	}
	names := make([]string, 0, len(first))
	for name := range first {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		l.file(first[name], false)
	}
}

func isDropin(name string) bool {
	return strings.HasSuffix(name, dropinExt) && !strings.HasPrefix(name, ".")
}

// mistaken warns of files that look as if somebody meant them to be read: those
// called stem with another extension, or any where stem is empty.
func (l *loader) mistaken(dir, stem string) {
	names, _ := list(l.tree, dir)
	for _, name := range names {
		ext := filepath.Ext(name)
		base := strings.TrimSuffix(name, ext)
		if ext == dropinExt || base == "" || stem != "" && base != stem {
			continue
		}
		if slices.Contains([]string{".yml", dropinExt, ".conf", ".json", ".toml"}, strings.ToLower(ext)) {
			l.warnings = append(l.warnings, filepath.Join(dir, name)+" is not read: its name does not end in "+dropinExt)
		}
	}
}
