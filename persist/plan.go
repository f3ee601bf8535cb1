package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// The files that persist owns.
const (
	ModulesLoadPath = "/etc/modules-load.d/ctkeeper.conf"
	ModprobePath    = "/etc/modprobe.d/ctkeeper.conf"
	SysconfigPath   = "/etc/sysconfig/modules/ctkeeper.modules"
	UdevRulePath    = "/etc/udev/rules.d/90-ctkeeper.rules"
	SysctlPath      = "/etc/sysctl.d/90-ctkeeper.conf"
)

// Header begins every file that persist writes, after the #! of a script. A file without it is
// foreign.
const Header = "# Written by ctkeeper persist; changes are lost. See ctkeeper persist --help."

// maxFileSize limits the size of an existing file, in bytes. persist writes far less.
const maxFileSize = 1 << 20

// The errors of NewPlan. The other files can be written in spite of them.
var (
	// ErrForeign is returned for a file at one of persist's paths that persist did not write.
	ErrForeign = errors.New("not written by ctkeeper")
	// ErrUnloadable is returned for a value with which nf_conntrack would not load.
	ErrUnloadable = errors.New("nf_conntrack would not load with it")
)

// Options select the files.
type Options struct {
	// Sysconfig selects a script for older init systems in place of the modules-load.d file.
	Sysconfig bool
	// Udev also selects a udev rule and a sysctl.d file, for when the daemon is not running.
	Udev bool
	// Remove selects no file: those that persist wrote are removed.
	Remove bool
}

// File is one file of a plan.
type File struct {
	Path string
	// Content is nil if the file should not exist.
	Content []byte
	Mode    fs.FileMode
	// Before is the present content, nil if the file does not exist.
	Before     []byte
	BeforeMode fs.FileMode
}

// Plan is what persist does to the files.
type Plan struct {
	Files []File
	// Notes are for operators: what was left out and why, and the kernel command line that a
	// built-in nf_conntrack needs.
	Notes []string
}

// Paths returns the files that persist owns, in the order in which it writes them.
func Paths() []string {
	return []string{ModprobePath, ModulesLoadPath, SysconfigPath, SysctlPath, UdevRulePath}
}

// IsOurs reports whether persist wrote a file with this content.
func IsOurs(content []byte) bool {
	text := string(content)
	if strings.HasPrefix(text, "#!") {
		_, text, _ = strings.Cut(text, "\n")
	}
	first, _, _ := strings.Cut(text, "\n")
	return first == Header
}

// NewPlan returns the files for a configuration on the host in the tree. The script, the udev rule
// and the sysctl.d file are planned if opts select them, or if persist wrote them before.
//
// The error joins an error for each file or option that cannot be written, ErrForeign and
// ErrUnloadable among them. The plan is valid in spite of it.
func NewPlan(t tree.Tree, cfg *config.Config, opts Options) (Plan, error) {
	p := planner{tree: t, cfg: cfg, opts: opts, before: map[string]existing{}, texts: map[string]string{}}
	for _, path := range Paths() {
		p.before[path] = readExisting(t, path)
	}
	if !opts.Remove {
		p.host = readHost(t)
		p.render()
	}
	for _, path := range Paths() {
		p.addFile(path)
	}
	return p.plan, errors.Join(p.errs...)
}

// planner is the state of NewPlan.
type planner struct {
	tree   tree.Tree
	cfg    *config.Config
	opts   Options
	host   host
	before map[string]existing
	// texts has the texts of the files that should exist.
	texts map[string]string
	plan  Plan
	errs  []error
}

func (p *planner) note(format string, args ...any) {
	p.plan.Notes = append(p.plan.Notes, fmt.Sprintf(format, args...))
}

func (p *planner) fail(err error) {
	if err != nil {
		p.errs = append(p.errs, err)
	}
}

// wanted reports whether an optional file should exist: if its flag is set, or it exists and is ours.
func (p *planner) wanted(flag bool, path string) bool { return flag || p.before[path].ours }

// render sets the texts of the files.
func (p *planner) render() {
	options := p.options()
	if p.host.builtIn {
		p.noteCommandLine(options)
	} else {
		p.texts[ModprobePath] = modprobeText(options)
		p.texts[p.loadPath()] = p.loadText()
	}
	if p.wanted(p.opts.Udev, SysctlPath) || p.wanted(p.opts.Udev, UdevRulePath) {
		p.renderFallback(options)
	}
}

// loadPath returns the path of the file that loads the module at boot.
func (p *planner) loadPath() string {
	if p.wanted(p.opts.Sysconfig, SysconfigPath) {
		return SysconfigPath
	}
	return ModulesLoadPath
}

// renderFallback sets the texts of the udev rule and the sysctl.d file, which apply the settings
// when the daemon is not running.
func (p *planner) renderFallback(options []option) {
	if p.wanted(p.opts.Udev, SysctlPath) {
		p.texts[SysctlPath] = p.sysctlText(options)
	}
	// A built-in module has no add event, and exists before sysctl.d is read.
	if p.host.builtIn || !p.wanted(p.opts.Udev, UdevRulePath) || p.texts[SysctlPath] == "" {
		return
	}
	if p.host.systemdSysctl == "" {
		dirs := strings.Join(systemdDirs(), " or ")
		p.fail(fmt.Errorf("cannot write %s: no systemd-sysctl in %s", UdevRulePath, dirs))
		for _, path := range []string{SysctlPath, UdevRulePath} {
			p.texts[path] = string(p.before[path].content) // neither is of use without the other
		}
		return
	}
	p.texts[UdevRulePath] = p.host.udevRuleText()
}

// addFile adds one file to the plan, unless a foreign file is at its path.
func (p *planner) addFile(path string) {
	text, before := p.texts[path], p.before[path]
	switch {
	case before.masked && text != "":
		p.note("%s left unchanged: it is a link to /dev/null", path)
	case before.masked:
	case errors.Is(before.err, ErrForeign) && text != "":
		p.fail(fmt.Errorf("cannot write %s: %w: move it away first", path, before.err))
	case before.err != nil && text != "":
		p.fail(fmt.Errorf("cannot write %s: %w", path, before.err))
	case before.err != nil && p.opts.Remove:
		p.note("%s left unchanged: %s", path, before.err)
	case before.err != nil:
	default:
		file := File{Path: path, Mode: modeOf(path), Before: before.content, BeforeMode: before.mode}
		if text != "" {
			file.Content = []byte(text)
		}
		p.plan.Files = append(p.plan.Files, file)
	}
}

func modeOf(path string) fs.FileMode {
	if path == SysconfigPath { // a script that is not executable is not run
		return 0o755
	}
	return 0o644
}

// existing is what is at one of persist's paths before it writes.
type existing struct {
	content []byte
	mode    fs.FileMode
	ours    bool
	masked  bool
	// err is why persist must not write it, or nil.
	err error
}

func readExisting(t tree.Tree, path string) existing {
	switch {
	case t.Gone(path):
		return existing{}
	case t.IsNull(path):
		return existing{masked: true}
	}
	if link, err := isLink(t, path); err != nil {
		return existing{err: err}
	} else if link {
		return existing{err: fmt.Errorf("a symbolic link: %w", ErrForeign)}
	}
	content, err := t.Read(path, maxFileSize)
	if err != nil {
		return existing{err: tree.WithoutPath(err)}
	}
	info, err := t.Stat(path)
	if err != nil {
		return existing{err: err}
	}
	if !IsOurs(content) {
		return existing{err: ErrForeign}
	}
	return existing{content: content, mode: info.Mode().Perm(), ours: true}
}

// isLink reports whether path itself is a symbolic link. A loop of links in its directory is an error.
func isLink(t tree.Tree, path string) (bool, error) {
	dir, _, err := t.Resolve(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	end, _, err := t.Resolve(path)
	return err != nil || end != filepath.Join(dir, filepath.Base(path)), nil
}
