package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// The targets: the owners for which there is a snippet.
const (
	KubeProxy    = "kube-proxy"
	Kubelet      = "kubelet"
	CRIO         = "cri-o"
	CNITuning    = "cni-tuning"
	Talos        = "talos"
	Bottlerocket = "bottlerocket"
	NixOS        = "nixos"
)

// target is one owner.
type target struct {
	name string
	// subject is the owner in a sentence.
	subject string
	// chooses is true where Options.Agree makes a difference.
	chooses bool
	write   func(*writer) (string, error)
}

func targets() []target {
	return []target{
		{KubeProxy, "kube-proxy", true, (*writer).kubeProxy},
		{Kubelet, "a pod", true, (*writer).kubelet},
		{CRIO, "CRI-O", false, (*writer).crio},
		{CNITuning, "the plugin", false, (*writer).cniTuning},
		{Talos, "Talos", false, (*writer).talos},
		{Bottlerocket, "Bottlerocket", false, (*writer).bottlerocket},
		{NixOS, "NixOS", false, (*writer).nixOS},
	}
}

// Targets returns the names of all targets.
func Targets() []string {
	var names []string
	for _, t := range targets() {
		names = append(names, t.name)
	}
	return names
}

// Agreeing returns the targets for which Options.Agree makes a difference. All others can only agree.
func Agreeing() []string {
	var names []string
	for _, t := range targets() {
		if t.chooses {
			names = append(names, t.name)
		}
	}
	return names
}

// Options are what a snippet depends on besides the configuration.
type Options struct {
	// Agree selects the same values where the owner could also leave the settings alone (Agreeing).
	Agree bool
	// AtLoad are the parameters to load nf_conntrack with, and AtLoadNotes what is not among them (persist.AtLoad).
	AtLoad      []config.Parameter
	AtLoadNotes []string
}

// Snippet is a part of another owner's configuration.
type Snippet struct {
	Target string
	// Body is the part in the owner's format, without comments. It is empty where the owner needs no change.
	Body string
	// Notes are sentences for people: what the snippet does, and how it is applied.
	Notes []string
	// LeftOut are the settings that the snippet does not have, though the configuration or the owner sets them.
	LeftOut []LeftOut
}

// LeftOut is a setting, or a load-time parameter as module.parameters.NAME, that a snippet does not have.
type LeftOut struct {
	Setting string `json:"setting"`
	Why     string `json:"why"`
}

// New returns the snippet for a target. The error is one of an unknown target or of an encoder.
func New(name string, cfg *config.Config, options Options) (Snippet, error) {
	all := targets()
	i := slices.IndexFunc(all, func(t target) bool { return t.name == name })
	if i < 0 {
		return Snippet{}, fmt.Errorf("unknown target %q", name)
	}
	w := &writer{target: all[i], cfg: cfg, options: options}
	w.options.Agree = options.Agree && w.target.chooses
	command := name
	if w.options.Agree {
		command += " --agree"
	}
	from := slices.Clone(cfg.Files)
	if cfg.UsesDefault {
		from = append(from, "the embedded default")
	}
	w.note("Printed by ctkeeper render %s, from %s.", command, cmp.Or(strings.Join(from, ", "), "no file"))
	body, err := w.target.write(w)
	if err != nil {
		return Snippet{}, fmt.Errorf("cannot encode the snippet for %s: %w", name, err)
	}
	return Snippet{Target: name, Body: body, Notes: w.notes, LeftOut: w.leftOut}, nil
}

// Comments returns the notes, and what is left out, as comment lines; all formats but JSON have such comments.
func (s Snippet) Comments() string {
	var b strings.Builder
	line := func(text string) { b.WriteString("# " + printable.Line(text) + "\n") }
	for _, note := range s.Notes {
		line(note)
	}
	if len(s.LeftOut) > 0 {
		line("Not in it:")
	}
	for _, left := range s.LeftOut {
		line("  " + left.Setting + ": " + left.Why)
	}
	return b.String()
}

// HasComments reports whether the format of the target has comments.
func (s Snippet) HasComments() bool { return s.Target != CNITuning }

// writer makes one snippet.
type writer struct {
	target  target
	cfg     *config.Config
	options Options
	notes   []string
	leftOut []LeftOut
}

func (w *writer) note(format string, args ...any) {
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

func (w *writer) leave(setting, format string, args ...any) {
	w.leftOut = append(w.leftOut, LeftOut{setting, fmt.Sprintf(format, args...)})
}

// exact returns whether a want is a single value. A bound is left out: an owner that writes its value would also lower
// a live value that satisfies the bound already.
func (w *writer) exact(want sysfs.Want) bool {
	if want.Policy != sysfs.Exactly {
		w.leave(want.Setting.Name, "%s is a bound, and %s sets one value; ctkeeper keeps the bound", want,
			w.target.subject)
		return false
	}
	if want.Auto {
		w.note("%s is auto: %s is computed from the memory of the host where this was printed.", want.Setting.Name,
			want.Value)
	}
	return true
}

// hostSettings returns the wants that the owner of a whole host can set.
func (w *writer) hostSettings() []sysfs.Want {
	var wants []sysfs.Want
	for _, want := range w.cfg.Wants {
		if w.exact(want) {
			wants = append(wants, want)
		}
	}
	return wants
}

// podSettings returns the wants that each network namespace has for itself. A container runtime starts no pod for
// which it cannot write a sysctl, so what a kernel may lack is left out.
func (w *writer) podSettings() []sysfs.Want {
	var wants []sysfs.Want
	for _, want := range w.cfg.Wants {
		switch s := want.Setting; {
		case s.Global: // mode 0444 in nf_conntrack_standalone_init_sysctl
			w.leave(s.Name, "one value for the whole host, which a pod's network namespace cannot write")
		case s.Kind == sysfs.Text:
			w.leave(s.Name, "not known to be a setting that each network namespace has for itself")
		case s.Since != "" || s.Until != "":
			w.leave(s.Name, "not every kernel has it, and a pod does not start where its sysctl is missing")
		case w.exact(want):
			wants = append(wants, want)
		}
	}
	return wants
}

// noChange is the snippet of an owner that needs none.
func (w *writer) noChange() (string, error) {
	w.note("%s needs no change: the configuration has nothing that it should set.", w.target.subject)
	return "", nil
}

// leaveAtLoad leaves out the load-time parameters.
func (w *writer) leaveAtLoad(why string) {
	for _, p := range w.options.AtLoad {
		w.leave("module.parameters."+p.Name, "%s (%s)", p.Value, why)
	}
}

// sysctls returns wants by their sysctl names.
func sysctls(wants []sysfs.Want) map[string]string {
	values := map[string]string{}
	for _, want := range wants {
		values[want.Setting.Sysctl()] = want.Value.String()
	}
	return values
}
