package kmod

import (
	"path"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Aliases returns the modules that have a name as an alias, by the aliases of modprobe.d and else by
// modules.alias. modprobe(8) looks for them in that order, with the release's modules in between.
func (x Index) Aliases(t tree.Tree, m Modprobe, name string) []string {
	name = NormalizeName(name)
	var modules []string
	add := func(d Directive) {
		if ok, err := path.Match(d.Args, name); d.Kind == "alias" && err == nil && ok {
			modules = append(modules, d.Module)
		}
	}
	for _, d := range m.Directives {
		add(d)
	}
	if len(modules) > 0 || x.Has(name) {
		return modules
	}
	text, _ := t.Read(path.Join(x.Dir, "modules.alias"), maxIndex) // a kernel without one has no aliases
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, ":") { // that of a device
			continue
		}
		if d, err := parseDirective(strings.TrimSpace(line)); err == nil {
			add(d)
		}
	}
	return modules
}

// Has reports whether a release has a module, as a file or in the kernel image.
func (x Index) Has(module string) bool {
	module = NormalizeName(module)
	return x.Files[module] != "" || x.BuiltIn[module]
}

// Loads reports whether modprobe(8) loads one module together with another, because it is that one, needs
// it, or has a soft dependency on it.
func (x Index) Loads(m Modprobe, name, module string) bool {
	seen := map[string]bool{}
	for next := []string{NormalizeName(name)}; len(next) > 0; next = next[1:] {
		if next[0] == module {
			return true
		}
		if seen[next[0]] || !x.Has(next[0]) {
			continue
		}
		seen[next[0]] = true
		next = append(next, x.Depends[next[0]]...)
		soft := x.Softdeps[next[0]]
		if lines := m.Find("softdep", next[0]); len(lines) > 0 {
			soft = lines[0].Args
		}
		for word := range strings.FieldsSeq(soft) {
			if !strings.HasSuffix(word, ":") { // "pre:", "post:"
				next = append(next, NormalizeName(word))
			}
		}
	}
	return false
}
