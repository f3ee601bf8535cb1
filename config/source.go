package config

import (
	"errors"
	"path/filepath"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// DefaultMain is the path of the main file where no other is named.
const DefaultMain = "/etc/ctkeeper/ctkeeper.yaml"

// Source is where the configuration is read from.
//
// With the default main file, the drop-ins conf.d/*.yaml of /usr/lib/ctkeeper, /run/ctkeeper
// and /etc/ctkeeper are read after it, sorted together by file name. A file in /etc hides one of
// the same name in /run, and that one hides one in /usr/lib. An empty file or a link to /dev/null
// is a mask. The embedded default applies where no file has settings: neither a package's main file
// whose lines are all comments nor a drop-in that has another section takes it away. "settings: {}"
// does, and so does a masked main file.
//
// Paths in a Config are as the host below Root has them; paths in an Error begin with Root, so
// that they can be opened.
type Source struct {
	// Root is the directory below which everything is read, symbolic links included. Empty or
	// "/" is the running system.
	Root string
	// Host is the running system, used where Root is empty: its zero value has /proc and /sys in their usual places.
	Host tree.Tree
	// Main is the path of the main file, without Root; empty is DefaultMain. Any other file is
	// read alone, without drop-ins, as by systemd-tmpfiles FILE and sysctl -p FILE.
	Main string
	// MainRequired makes a missing main file an error, for a file that a user named.
	MainRequired bool
	// Draft has the contents of drop-ins by path, which Load reads in place of those on disk. A
	// nil content is a drop-in that does not exist.
	Draft map[string][]byte
	// Observe makes the mode observe and module.load false, whatever the files say: for run --observe.
	Observe bool
	// RootOnly refuses files and directories that somebody other than root can change, for commands that
	// write what a file says with root's rights. What is on a read-only mount is accepted.
	RootOnly bool

	// reading, where not nil, is called before each file and directory is read, with its real path.
	reading func(path string)
}

// Tree returns the host that the configuration is of.
func (s Source) Tree() tree.Tree {
	if t := tree.At(s.Root); !t.Live() {
		return t
	}
	return s.Host
}

// Load reads, merges and validates the configuration. The error is Errors, with every error.
func (s Source) Load() (*Config, error) {
	l := newLoader(s)
	l.loadMain(s.mainFile(), s.MainRequired)
	if s.hasDropins() {
		l.warnIgnored(filepath.Dir(DefaultMain), "ctkeeper")
		l.loadDropins()
	}
	c, err := l.config()
	if err == nil && s.Observe {
		c.Mode, c.Module.Load = reconcile.Observe, false
		c.Origins[keyMode], c.Origins[keyModuleLoad] = tree.Place{File: ObserveOrigin}, tree.Place{File: ObserveOrigin}
	}
	return c, err
}

// Check validates each of the files, below Root, as if it were the only one. Without files it
// validates what Load would read. The error is Errors.
func (s Source) Check(files ...string) (warnings []string, err error) {
	if len(files) == 0 {
		c, err := s.Load()
		if err != nil {
			return nil, err
		}
		return c.Warnings, nil
	}
	var errs Errors
	for _, file := range files {
		l := newLoader(Source{Root: s.Root, Host: s.Host})
		l.replaced = true // the default is no part of the file
		l.loadMain(file, true)
		c, err := l.config()
		if err == nil {
			warnings = append(warnings, c.Warnings...)
		}
		var fileErrs Errors
		errors.As(err, &fileErrs)
		errs = append(errs, fileErrs...)
	}
	return warnings, errs.orNil()
}

func (s Source) mainFile() string {
	if s.Main == "" {
		return DefaultMain
	}
	return s.Main
}

// hasDropins reports whether drop-ins are read.
func (s Source) hasDropins() bool { return filepath.Clean(s.mainFile()) == DefaultMain }
