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
	// maxModprobe limits a file of modprobe.d, in bytes.
	maxModprobe = 1 << 20
	// maxTroubles is how many invalid lines of one file are reported.
	maxTroubles = 10
)

// Errors of a whole file, besides those of tree.Read.
var (
	// ErrBinary is a file with NUL bytes in it.
	ErrBinary = errors.New("binary file")
	// ErrCarriageReturn is a file with CR LF line ends. The carriage return becomes part of the last
	// word for modprobe(8), and no module has such a name.
	ErrCarriageReturn = errors.New("line ends in a carriage return, which modprobe reads as part of the last word")
	// ErrNotRead is /etc/modprobe.conf on a host with kmod.
	ErrNotRead = errors.New("kmod does not read this file: it belongs in /etc/modprobe.d")
)

// Directive is one line of modprobe.d(5), continuation lines joined.
type Directive struct {
	// Place is that of the first of the joined lines.
	tree.Place
	// Kind is alias, blacklist, install, options, remove, softdep or weakdep.
	Kind string
	// Module is the module's name in the kernel's form, with underscores. In install, remove, softdep
	// and weakdep it may be a pattern of fnmatch(3).
	Module string
	// Args is the rest of the line; for an alias, the alias.
	Args string
}

// Option is one module parameter from modprobe.d or the kernel command line.
type Option struct {
	tree.Place
	// Name has underscores: for the kernel "-" is the same (parameq).
	Name string
	// Value is empty and Bare true for a name without "=".
	Value string
	Bare  bool
}

// Modprobe is the configuration of modprobe(8), in the order in which modprobe reads it.
type Modprobe struct {
	Directives []Directive
	// Files are the files that were read. Hidden has those that a file of the same name in an earlier
	// directory, which may be a link to /dev/null, hides: its values are the paths of that file.
	Files    []string
	Hidden   map[string]string
	Troubles []tree.Trouble
}

// ReadModprobe reads modprobe.d(5): *.conf of /etc, /run, /usr/local/lib, /usr/lib
// and /lib, sorted together by file name. A file in an earlier directory hides one of the same name.
// It also reads /etc/modprobe.conf, which module-init-tools of old systems reads.
func ReadModprobe(t tree.Tree) Modprobe {
	m := Modprobe{Hidden: map[string]string{}}
	m.readOld(t)
	files, troubles := dropin.List(t, dropin.Dirs("modprobe.d"), func(file string) bool {
		if !isModprobeFile(path.Base(file)) {
			return false
		}
		// A directory is skipped and hides nothing (conf_files_filter_out).
		info, err := t.Stat(file)
		isDir := err == nil && info.IsDir()
		if isDir {
			m.addTrouble(file, &fs.PathError{Op: "read", Path: file, Err: syscall.EISDIR})
		}
		return !isDir
	})
	for _, trouble := range troubles {
		m.addTrouble(trouble.File, trouble.Err)
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

// isModprobeFile reports whether libkmod reads a file of this name (conf_files_filter_out).
func isModprobeFile(name string) bool {
	return len(name) >= 6 && name[0] != '.' && (strings.HasSuffix(name, ".conf") || strings.HasSuffix(name, ".alias"))
}

// kmodSigns show that modprobe is kmod's: systemd needs libkmod since its version 183.
var kmodSigns = []string{
	"/usr/bin/kmod", "/bin/kmod", "/run/systemd/system", "/usr/lib/systemd/systemd", "/lib/systemd/systemd",
}

func (m *Modprobe) readOld(t tree.Tree) {
	switch {
	case t.Gone(modprobeConf):
	case slices.ContainsFunc(kmodSigns, t.Exists):
		m.addTrouble(modprobeConf, ErrNotRead)
	default:
		m.read(t, modprobeConf)
	}
}

func (m *Modprobe) read(t tree.Tree, file string) {
	text, err := t.Read(file, maxModprobe)
	if err != nil {
		m.addTrouble(file, err)
		return
	}
	directives, troubles := ParseModprobe(file, text)
	m.Files = append(m.Files, file)
	m.Directives = append(m.Directives, directives...)
	m.Troubles = append(m.Troubles, troubles...)
}

func (m *Modprobe) addTrouble(file string, err error) {
	m.Troubles = append(m.Troubles, newTrouble(file, 0, err))
}

// newTrouble removes the path from an error, because the place has it.
func newTrouble(file string, line int, err error) tree.Trouble {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) && wrapped.Path == file {
		err = fmt.Errorf("cannot %s: %w", wrapped.Op, wrapped.Err)
	}
	return tree.Trouble{Place: tree.Place{File: file, Line: line}, Err: err}
}

// ParseModprobe reads the text of one file, as libkmod does (kmod_config_parse).
func ParseModprobe(file string, text []byte) ([]Directive, []tree.Trouble) {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, []tree.Trouble{newTrouble(file, 0, ErrBinary)}
	}
	var directives []Directive
	var troubles troubleList
	hasReturn := false
	for line, words := range joinLines(text) {
		d, err := parseDirective(words)
		switch {
		case err != nil:
			troubles.add(file, line, err)
		case d.Kind != "":
			d.Place = tree.Place{File: file, Line: line}
			directives = append(directives, d)
		}
		if strings.HasSuffix(words, "\r") && !hasReturn {
			hasReturn = true // reported once for all lines of the file
			troubles.add(file, line, ErrCarriageReturn)
		}
	}
	return directives, troubles.list(file)
}

// parseDirective parses a logical line. A comment or an empty line has no Kind.
func parseDirective(line string) (Directive, error) {
	kind, rest := cutWord(line)
	if kind == "" || kind == "\r" || kind[0] == '#' {
		return Directive{}, nil
	}
	name, rest := cutWord(rest)
	d := Directive{Kind: kind, Module: NormalizeName(name), Args: strings.Trim(rest, " \t\r")}
	switch kind {
	case "blacklist":
		d.Args = ""
		if name == "" {
			return Directive{}, errors.New("blacklist names no module")
		}
	case "alias":
		d.Args = d.Module
		module, _ := cutWord(rest)
		d.Module = NormalizeName(module)
		if module == "" {
			return Directive{}, errors.New("alias needs a name and a module")
		}
	case "options", "install", "remove", "softdep", "weakdep":
		if name == "" || d.Args == "" {
			return Directive{}, fmt.Errorf("%s needs a module and an argument", kind)
		}
	case "include", "config":
		return Directive{}, fmt.Errorf("%s is no longer read by modprobe", kind)
	default:
		return Directive{}, fmt.Errorf("unknown directive %.40q", kind)
	}
	return d, nil
}

// Find returns the directives of one kind for a module, in order. Of install, remove, softdep and
// weakdep modprobe(8) uses only the first.
func (m Modprobe) Find(kind, module string) []Directive {
	var of []Directive
	for _, d := range m.Directives {
		if d.Kind == kind && d.matches(module) {
			of = append(of, d)
		}
	}
	return of
}

func (d Directive) matches(module string) bool {
	module = NormalizeName(module)
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
	lines := m.Find("install", module)
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

// Options returns the parameters for a module in the order in which the kernel receives them: the
// last one wins.
func (m Modprobe) Options(module string) []Option {
	var options []Option
	for _, d := range m.Find("options", module) {
		options = append(options, ParseOptions(d.Place, d.Args)...)
	}
	return options
}

// ParseOptions returns the load-time parameters of a module in a text, as the kernel reads them.
func ParseOptions(at tree.Place, text string) []Option {
	options := splitArguments(text)
	for i := range options {
		options[i].Place = at
	}
	return options
}
