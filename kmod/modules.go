package kmod

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	procModules = "/proc/modules"
	// maxModules is the longest /proc/modules that is read, in bytes.
	maxModules = 4 << 20
)

// Listed is one line of /proc/modules (m_show in kernel/module/procfs.c).
type Listed struct {
	Name string
	// Size is in bytes.
	Size int64
	// Uses counts references: of the modules in UsedBy, and of rules and sockets.
	// -1 for a kernel that cannot unload.
	Uses   int
	UsedBy []string
	// State is Live, Loading or Unloading.
	State string
}

// ReadModules reads /proc/modules. Lines that make no sense are left out.
func ReadModules(t tree.Tree) ([]Listed, error) {
	text, err := t.Read(procModules, maxModules)
	if err != nil {
		return nil, err
	}
	return ParseModules(text), nil
}

// ParseModules reads the text of /proc/modules.
func ParseModules(text []byte) []Listed {
	var modules []Listed
	for line := range strings.Lines(string(text)) {
		if m, ok := parseListed(strings.Fields(line)); ok {
			modules = append(modules, m)
		}
	}
	return modules
}

// parseListed takes: name, size, uses, "a,b," or "-", state, and more.
func parseListed(fields []string) (Listed, bool) {
	if len(fields) < 5 {
		return Listed{}, false
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || size < 0 {
		return Listed{}, false
	}
	m := Listed{Name: fields[0], Size: size, Uses: -1, State: fields[4]}
	if fields[2] != "-" {
		if m.Uses, err = strconv.Atoi(fields[2]); err != nil {
			return Listed{}, false
		}
	}
	for user := range strings.SplitSeq(fields[3], ",") {
		// Not a module: "[permanent]" has no exit function, and can never be unloaded.
		if user != "" && user != "-" && user[0] != '[' {
			m.UsedBy = append(m.UsedBy, user)
		}
	}
	return m, true
}

// Users gives the modules that use the named one, directly or through others, in
// an order in which they can be unloaded.
func Users(modules []Listed, name string) []string {
	usedBy := map[string][]string{}
	for _, m := range modules {
		usedBy[m.Name] = m.UsedBy
	}
	var users []string
	seen := map[string]bool{name: true} // and so a circle, which no kernel makes, ends
	var visit func(string)
	visit = func(module string) {
		for _, user := range slices.Sorted(slices.Values(usedBy[module])) {
			if !seen[user] {
				seen[user] = true
				visit(user)
				users = append(users, user)
			}
		}
	}
	visit(name)
	return users
}
