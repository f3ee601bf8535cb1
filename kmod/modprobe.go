package kmod

import "github.com/ctkeeper/ctkeeper/tree"

// Directive is one line of modprobe.d(5), continuation lines joined.
type Directive struct {
	tree.Place
	// Kind is alias, blacklist, install, options, remove, softdep or weakdep.
	Kind string
	// Module is the module's name with underscores, as the kernel has it; of an
	// alias the module that it leads to.
	Module string
	// Args is the rest of the line.
	Args string
}

// Option is one module parameter that modprobe.d or the kernel command line gives.
type Option struct {
	tree.Place
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
func ReadModprobe(t tree.Tree) Modprobe { return Modprobe{} }

// ParseModprobe reads the text of one file.
func ParseModprobe(file string, text []byte) ([]Directive, []tree.Trouble) { return nil, nil }

// Of gives the directives of one kind for a module.
func (m Modprobe) Of(kind, module string) []Directive { return nil }

// Options gives the parameters for a module, in the order in which the kernel gets
// them: the later wins.
func (m Modprobe) Options(module string) []Option { return nil }
