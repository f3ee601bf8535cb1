package setup

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/persist"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// ConfigDropIn is the drop-in with the mode.
const ConfigDropIn = "/etc/ctkeeper/conf.d/90-guard.yaml"

// header begins ConfigDropIn. A file without it is foreign.
const header = "# Written by ctkeeper guard on or off, which replaces this file."

// maxFileSize limits the size of an existing drop-in, in bytes.
const maxFileSize = 64 << 10

// ErrForeign is returned for a file at one of the paths that ctkeeper did not write.
var ErrForeign = errors.New("not written by ctkeeper: move it away first")

// Options are what the guard is to do.
type Options struct {
	// Mode is the wanted mode. Empty is the one that the configuration has without ConfigDropIn, or else watch.
	Mode config.GuardMode
	// Perfmon adds or removes CAP_PERFMON; nil leaves it as it is. Mode off removes both capabilities.
	Perfmon *bool
}

// Plan has the files to write and to remove.
type Plan struct {
	persist.Plan
	Mode config.GuardMode
}

// NewPlan returns what has to change for the guard to be in a mode. The error is config.Errors where the
// configuration is refused, and it joins ErrForeign for each file that ctkeeper did not write.
func NewPlan(t tree.Tree, source config.Source, opts Options) (Plan, error) {
	cfg, err := withDropIn(source, nil)
	if err != nil {
		return Plan{}, err
	}
	mode := opts.Mode
	if mode == "" {
		mode = cmp.Or(cfg.Guard.Mode, config.GuardOff)
		if mode == config.GuardOff {
			mode = config.GuardWatch
		}
	}
	p := planner{tree: t, plan: Plan{Mode: mode}}
	isOn := mode != config.GuardOff
	p.file(systemd.GuardDropIn, "# guard.conf:", isOn, systemd.GuardConf)
	keeps := opts.Perfmon == nil && t.Exists(systemd.PerfmonDropIn)
	wants := opts.Perfmon != nil && *opts.Perfmon
	p.file(systemd.PerfmonDropIn, "# guard-perfmon.conf:", isOn && (keeps || wants), systemd.PerfmonConf)
	text := []byte(header + "\nguard: " + string(mode) + "\n")
	p.file(ConfigDropIn, header, cfg.Guard.Mode != mode, text)
	if cfg.Guard.Mode != mode {
		p.fail(checkWins(source, mode, text))
	}
	return p.plan, errors.Join(p.errs...)
}

// withDropIn loads the configuration with this content of ConfigDropIn, nil for none.
func withDropIn(source config.Source, text []byte) (*config.Config, error) {
	source.Draft = map[string][]byte{ConfigDropIn: text}
	return source.Load()
}

// checkWins returns an error if a later file of the configuration has another mode than ConfigDropIn.
func checkWins(source config.Source, mode config.GuardMode, text []byte) error {
	cfg, err := withDropIn(source, text)
	if err != nil || cfg.Guard.Mode == mode {
		return err
	}
	return fmt.Errorf("cannot set guard: %s in %s: %s has guard: %s and is read later: change that line",
		mode, ConfigDropIn, cfg.Origins["guard.mode"], cfg.Guard.Mode)
}

// planner is the state of NewPlan.
type planner struct {
	tree tree.Tree
	plan Plan
	errs []error
}

func (p *planner) fail(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// file adds a file that should have this content, or should not exist. A present file has to begin with a line of
// ctkeeper's.
func (p *planner) file(path, first string, isWanted bool, content []byte) {
	f := persist.File{Path: path, Mode: 0o644}
	if isWanted {
		f.Content = content
	}
	if !p.tree.Gone(path) {
		before, err := p.tree.Read(path, maxFileSize)
		if err == nil && !bytes.HasPrefix(before, []byte(first)) {
			err = ErrForeign
		}
		if err != nil {
			p.fail(fmt.Errorf("cannot change %s: %w", path, tree.WithoutPath(err)))
			return
		}
		f.Before, f.BeforeMode = before, f.Mode
	}
	p.plan.Files = append(p.plan.Files, f)
}

// Changes reports whether the plan changes a file of the unit, and whether it changes one of the configuration.
func (p Plan) Changes() (unit, configuration bool) {
	for _, f := range p.Files {
		isChanged := f.Change() != persist.Unchanged
		unit = unit || isChanged && f.Path != ConfigDropIn
		configuration = configuration || isChanged && f.Path == ConfigDropIn
	}
	return unit, configuration
}

// Apply writes the files, all or none: after an error it restores those that it has changed.
func (p Plan) Apply(t tree.Tree) (changed []string, err error) {
	changed, err = p.Write(t)
	if err != nil {
		return nil, errors.Join(err, p.Undo(t))
	}
	return changed, nil
}

// Undo restores the contents that the files had before Apply.
func (p Plan) Undo(t tree.Tree) error {
	var back persist.Plan
	for _, f := range slices.Backward(p.Files) {
		back.Files = append(back.Files, persist.File{
			Path: f.Path, Content: f.Before, Mode: f.Mode, Before: f.Content, BeforeMode: f.Mode,
		})
	}
	_, err := back.Write(t)
	return err
}
