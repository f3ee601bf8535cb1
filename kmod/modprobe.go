package kmod

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// modprobeConf is read by module-init-tools alone.
	modprobeConf = "/etc/modprobe.conf"
	// maxModprobe is the longest file of modprobe.d that is read, in bytes.
	maxModprobe = 1 << 20
	// maxTroubles is how many lines of one file are complained of.
	maxTroubles = 10
)

// What is wrong with a file as a whole, besides the errors of tree.Read.
var (
	// ErrBinary is a file with NUL bytes in it.
	ErrBinary = errors.New("binary file")
	// ErrCarriageReturn is a file with the line ends of another system: modprobe(8) takes
	// the carriage return for a part of the last word, and so no module has the name.
	ErrCarriageReturn = errors.New("line ends in a carriage return, which modprobe takes for a part of the last word")
	// ErrNotRead is /etc/modprobe.conf on a host with kmod.
	ErrNotRead = errors.New("kmod does not read this file: it belongs in /etc/modprobe.d")
)

// Directive is one line of modprobe.d(5), continuation lines joined.
type Directive struct {
	// Place has the first of the lines that were joined.
	tree.Place
	// Kind is alias, blacklist, install, options, remove, softdep or weakdep.
	Kind string
	// Module is the module's name with underscores, as the kernel has it; of an
	// alias the module that it leads to. In install, remove, softdep and weakdep
	// it may be a pattern of fnmatch(3).
	Module string
	// Args is the rest of the line; of an alias the name that it gives.
	Args string
}

// Option is one module parameter that modprobe.d or the kernel command line gives.
type Option struct {
	tree.Place
	// Name has underscores: the kernel takes "-" for the same (parameq).
	Name string
	// Value is empty and Bare true for a name without "=".
	Value string
	Bare  bool
}

// Modprobe is what modprobe(8) reads, in its order.
type Modprobe struct {
	Directives []Directive
	// Files are those read; Hidden those of the same name in a directory of lower rank,
	// or masked by a link to /dev/null, with the path that hides them.
	Files    []string
	Hidden   map[string]string
	Troubles []tree.Trouble
}

// ReadModprobe reads modprobe.d(5): *.conf of /etc, /run, /usr/local/lib, /usr/lib
// and /lib, sorted together by file name, a file in an earlier directory hiding
// one of the same name; and /etc/modprobe.conf, which module-init-tools of old
// systems reads.
func ReadModprobe(t tree.Tree) Modprobe {
	m := Modprobe{Hidden: map[string]string{}}
	m.readOld(t)
	files, troubles := dropin.List(t, dropin.Dirs("modprobe.d"), func(file string) bool {
		if !isModprobeFile(path.Base(file)) {
			return false
		}
		// A directory is passed over, and hides nothing (conf_files_filter_out).
		info, err := t.Stat(file)
		isDir := err == nil && info.IsDir()
		if isDir {
			m.trouble(file, &fs.PathError{Op: "read", Path: file, Err: syscall.EISDIR})
		}
		return !isDir
	})
	for _, wrong := range troubles {
		m.trouble(wrong.File, wrong.Err)
	}
	for _, f := range files {
		switch {
		case f.HiddenBy != "":
			m.Hidden[f.Path] = f.HiddenBy
		case !f.Masked:
			m.read(t, f.Path)
		}
	}
	return m
}

// isModprobeFile holds a name to conf_files_filter_out of libkmod.
func isModprobeFile(name string) bool {
	return len(name) >= 6 && name[0] != '.' && (strings.HasSuffix(name, ".conf") || strings.HasSuffix(name, ".alias"))
}

func (m *Modprobe) readOld(t tree.Tree) {
	switch {
	case t.Gone(modprobeConf):
	case t.Exists("/usr/bin/kmod") || t.Exists("/bin/kmod"):
		m.trouble(modprobeConf, ErrNotRead)
	default:
		m.read(t, modprobeConf)
	}
}

func (m *Modprobe) read(t tree.Tree, file string) {
	text, err := t.Read(file, maxModprobe)
	if err != nil {
		m.trouble(file, err)
		return
	}
	directives, troubles := ParseModprobe(file, text)
	m.Files = append(m.Files, file)
	m.Directives = append(m.Directives, directives...)
	m.Troubles = append(m.Troubles, troubles...)
}

func (m *Modprobe) trouble(file string, err error) {
	m.Troubles = append(m.Troubles, trouble(file, 0, err))
}

// trouble leaves the path out of an error: the place has it.
func trouble(file string, line int, err error) tree.Trouble {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) && wrapped.Path == file {
		err = fmt.Errorf("cannot %s: %w", wrapped.Op, wrapped.Err)
	}
	return tree.Trouble{Place: tree.Place{File: file, Line: line}, Err: err}
}

// ParseModprobe reads the text of one file, as libkmod does (kmod_config_parse).
func ParseModprobe(file string, text []byte) ([]Directive, []tree.Trouble) {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, []tree.Trouble{trouble(file, 0, ErrBinary)}
	}
	var directives []Directive
	var troubles complaints
	returns := false
	for line, words := range wrapped(text) {
		d, err := parseDirective(words)
		switch {
		case err != nil:
			troubles.add(file, line, err)
		case d.Kind != "":
			d.Place = tree.Place{File: file, Line: line}
			directives = append(directives, d)
		}
		if strings.HasSuffix(words, "\r") && !returns {
			returns = true // one complaint is enough for all its lines
			troubles.add(file, line, ErrCarriageReturn)
		}
	}
	return directives, troubles.list(file)
}

// parseDirective reads a joined line. A comment or an empty line gives no Kind.
func parseDirective(line string) (Directive, error) {
	kind, rest := word(line)
	if kind == "" || kind == "\r" || kind[0] == '#' {
		return Directive{}, nil
	}
	name, rest := word(rest)
	d := Directive{Kind: kind, Module: underscores(name), Args: strings.Trim(rest, " \t\r")}
	switch kind {
	case "blacklist":
		d.Args = ""
		if name == "" {
			return Directive{}, errors.New("blacklist names no module")
		}
	case "alias":
		d.Args = d.Module
		module, _ := word(rest)
		d.Module = underscores(module)
		if module == "" {
			return Directive{}, errors.New("alias needs a name and a module")
		}
	case "options", "install", "remove", "softdep", "weakdep":
		if name == "" || d.Args == "" {
			return Directive{}, fmt.Errorf("%s needs a module and something for it", kind)
		}
	case "include", "config":
		return Directive{}, fmt.Errorf("%s is no longer read by modprobe", kind)
	default:
		return Directive{}, fmt.Errorf("unknown directive %.40q", kind)
	}
	return d, nil
}

// Of gives the directives of one kind for a module, in order. Of install, remove,
// softdep and weakdep modprobe(8) heeds the first alone.
func (m Modprobe) Of(kind, module string) []Directive {
	var of []Directive
	for _, d := range m.Directives {
		if d.Kind == kind && d.matches(module) {
			of = append(of, d)
		}
	}
	return of
}

func (d Directive) matches(module string) bool {
	module = underscores(module)
	switch d.Kind {
	case "install", "remove", "softdep", "weakdep":
		ok, err := path.Match(strings.ReplaceAll(d.Module, "[!", "[^"), module)
		return err == nil && ok
	}
	return d.Module == module
}

// BlockingInstalls returns the install lines that keep a module from loading: modprobe(8) runs
// the command of the first one in place of loading the module, and the next becomes the first once
// that is removed. Lines behind one that loads a module are never read.
func (m Modprobe) BlockingInstalls(module string) []Directive {
	lines := m.Of("install", module)
	if i := slices.IndexFunc(lines, func(d Directive) bool { return loadsModule(d.Args) }); i >= 0 {
		return lines[:i]
	}
	return lines
}

// loadsModule reports whether a shell command runs modprobe or insmod, however deep in its quotes.
func loadsModule(command string) bool {
	isSeparator := func(r rune) bool { return strings.ContainsRune(" \t;&|(){}`$\"'", r) }
	for word := range strings.FieldsFuncSeq(command, isSeparator) {
		if base := path.Base(word); base == "modprobe" || base == "insmod" {
			return true
		}
	}
	return false
}

// Options gives the parameters for a module, in the order in which the kernel gets
// them: the later wins.
func (m Modprobe) Options(module string) []Option {
	var options []Option
	for _, d := range m.Of("options", module) {
		for _, o := range splitArguments(d.Args) {
			o.Place = d.Place
			options = append(options, o)
		}
	}
	return options
}
