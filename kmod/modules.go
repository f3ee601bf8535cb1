package kmod

import (
	"slices"
	"strconv"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	procModules = "/proc/modules"
	// maxModules limits /proc/modules, in bytes.
	maxModules = 4 << 20
)

// ProcModule is one line of /proc/modules (m_show in kernel/module/procfs.c).
type ProcModule struct {
	Name string
	// Size is in bytes.
	Size int64
	// Uses counts the references that UsedBy, rules and sockets hold; -1 on a kernel without module
	// unloading.
	Uses   int
	UsedBy []string
	// State is Live, Loading or Unloading.
	State string
}

// ReadModules reads /proc/modules. Invalid lines are skipped.
func ReadModules(t tree.Tree) ([]ProcModule, error) {
	text, err := t.Read(procModules, maxModules)
	if err != nil {
		return nil, err
	}
	return ParseModules(text), nil
}

// ParseModules reads the text of /proc/modules.
func ParseModules(text []byte) []ProcModule {
	var modules []ProcModule
	for line := range strings.Lines(string(text)) {
		if m, ok := parseProcModule(strings.Fields(line)); ok {
			modules = append(modules, m)
		}
	}
	return modules
}

// parseProcModule parses the fields of a line: name, size, uses, "a,b," or "-", state, and more.
func parseProcModule(fields []string) (ProcModule, bool) {
	if len(fields) < 5 {
		return ProcModule{}, false
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil || size < 0 {
		return ProcModule{}, false
	}
	m := ProcModule{Name: fields[0], Size: size, Uses: -1, State: fields[4]}
	if fields[2] != "-" {
		if m.Uses, err = strconv.Atoi(fields[2]); err != nil {
			return ProcModule{}, false
		}
	}
	for user := range strings.SplitSeq(fields[3], ",") {
		// "[permanent]" is no module: it marks one without an exit function, which can never be unloaded.
		if user != "" && user != "-" && user[0] != '[' {
			m.UsedBy = append(m.UsedBy, user)
		}
	}
	return m, true
}

// Users returns the modules that use the named one, directly or through others, in an order in which
// they can be unloaded.
func Users(modules []ProcModule, name string) []string {
	usedBy := map[string][]string{}
	for _, m := range modules {
		usedBy[m.Name] = m.UsedBy
	}
	var users []string
	seen := map[string]bool{name: true} // ends a cycle, which no kernel reports
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
