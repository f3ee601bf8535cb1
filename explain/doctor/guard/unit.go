package guard

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// privileges are what the unit grants the daemon of what the guard needs.
type privileges struct {
	capabilities picture.Capabilities
	// hasList is true after a line that names system calls; hasCall is true where bpf(2) is allowed.
	hasList, hasCall bool
	// lines are those that decide about it.
	lines []finding.Evidence
}

// readPrivileges applies the overrides to the unit as it is shipped, or to systemd's defaults where a
// copy replaces it.
func readPrivileges(overrides []finding.Evidence) privileges {
	isCopied := picture.HasUnitCopy(overrides)
	p := privileges{capabilities: picture.NewCapabilities(overrides), hasList: !isCopied, hasCall: isCopied}
	for _, line := range overrides {
		key, value := picture.ParseUnitLine(line)
		p.capabilities.Apply(key, value)
		switch key {
		case "CapabilityBoundingSet", "AmbientCapabilities", "User":
			p.lines = append(p.lines, line)
		case "SystemCallFilter":
			p.filter(value)
			p.lines = append(p.lines, line)
		}
	}
	return p
}

// filter applies a list of system calls. The first list decides about all calls that no list names
// (systemd.exec(5)).
func (p *privileges) filter(value string) {
	list, isDenied := strings.CutPrefix(value, "~")
	isNamed := slices.ContainsFunc(strings.Fields(list), func(word string) bool {
		call, _, _ := strings.Cut(word, ":") // :ERRNO
		return call == "bpf" || call == "@privileged" || call == "@known"
	})
	switch {
	case value == "":
		p.hasList, p.hasCall = false, true
		return
	case isNamed:
		p.hasCall = !isDenied
	case !p.hasList:
		p.hasCall = isDenied
	}
	p.hasList = true
}
