package text

import (
	"fmt"
	"io"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/status"
)

// GuardStatus is the document of ctkeeper guard status.
type GuardStatus struct {
	API status.API `json:"api"`
	// Mode is the configured mode, Origin its place.
	Mode   config.GuardMode `json:"mode"`
	Origin tree.Place       `json:"origin"`
	// Installed is true where the host has the unit. CapBPF and CapPerfmon are true where that has the capability.
	Installed  bool `json:"installed"`
	CapBPF     bool `json:"cap_bpf"`
	CapPerfmon bool `json:"cap_perfmon"`
	// Kernel is the running kernel's release, "" where none runs. Problems are why this host cannot run the guard as
	// configured, or could not if it were on.
	Kernel   string   `json:"kernel"`
	Problems []string `json:"problems"`
	// Error is why the daemon did not answer.
	Error  string          `json:"error"`
	Status status.Document `json:"-"`
	Guard  status.Guard    `json:"guard"`
}

// GuardStatus writes the mode, the rights, what hinders the guard, and what the guard does now.
func (p Printer) GuardStatus(g GuardStatus) error {
	g.Problems = append([]string{}, g.Problems...)
	g.Guard = g.Status.Guard
	return p.Document(g, func(w io.Writer) {
		line := func(title, text string) { printSection(w, title, wrap(text)) }
		mode := fmt.Sprintf("%s (%s)", g.Mode, g.Origin)
		if g.Origin.File == config.DefaultOrigin {
			mode = fmt.Sprintf("%s, the default", g.Mode)
		}
		line("mode:", mode)
		line("rights:", g.rights())
		switch {
		case len(g.Problems) > 0:
			for _, text := range g.Problems {
				line("problem:", text)
			}
		case g.Kernel != "":
			line("kernel:", g.Kernel+" can run the guard, as far as files show it")
		}
		if g.Error != "" {
			line("daemon:", g.Error)
		}
		p.guard(w, g.Status)
	})
}

func (g GuardStatus) rights() string {
	switch {
	case !g.Installed:
		return "unknown: ctkeeper.service is not installed"
	case !g.CapBPF && g.Mode == config.GuardOff:
		return "none, as it should be while the guard is off"
	case !g.CapBPF:
		return "none: ctkeeper guard on adds CAP_BPF"
	case !g.CapPerfmon:
		return "CAP_BPF; ctkeeper guard on --perfmon adds CAP_PERFMON"
	}
	return "CAP_BPF and CAP_PERFMON"
}
