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

// Header begins every file that persist writes, behind the #! of a script; a file
// without it is somebody else's.
const Header = "# Written by ctkeeper persist; changes are lost. See ctkeeper persist --help."

// maxFileSize is far above what persist writes.
const maxFileSize = 1 << 20

// The errors of NewPlan that are told apart. None of them keeps the other files from
// being written.
var (
	// ErrForeign is a file at one of persist's paths that it did not write.
	ErrForeign = errors.New("not written by ctkeeper")
	// ErrUnloadable is a value with which nf_conntrack would not load.
	ErrUnloadable = errors.New("nf_conntrack would not load with it")
)

// Options choose the files.
type Options struct {
	// Sysconfig writes the script of older init systems in place of modules-load.d.
	Sysconfig bool
	// Udev also writes a udev rule and a sysctl.d file, for hosts where the daemon is
	// not running.
	Udev bool
	// Remove plans for no file at all.
	Remove bool
}

// File is one file as it should be.
type File struct {
	Path string
	// Content is nil where the file should not be there.
	Content []byte
	Mode    fs.FileMode
	// Before is what is there now, nil for nothing.
	Before []byte
	// BeforeMode is its mode.
	BeforeMode fs.FileMode
}

// Plan is what persist would do.
type Plan struct {
	Files []File
	// Notes are for people: what was left out and why, the kernel command line of a
	// built-in.
	Notes []string
}

// Paths are the files that persist owns, in the order in which it writes them.
func Paths() []string {
	return []string{ModprobePath, ModulesLoadPath, SysconfigPath, SysctlPath, UdevRulePath}
}

// Ours reports whether persist wrote a file with this content.
func IsOurs(content []byte) bool {
	text := string(content)
	if strings.HasPrefix(text, "#!") {
		_, text, _ = strings.Cut(text, "\n")
	}
	first, _, _ := strings.Cut(text, "\n")
	return first == Header
}

// NewPlan works out the files for a configuration on the host in the tree. The
// script, the udev rule and the sysctl.d file are made where opts ask for them, and
// kept as they should be where persist wrote them before.
//
// The error joins everything that cannot be written, ErrForeign and ErrUnloadable
// among it; the plan is good without it.
func NewPlan(t tree.Tree, cfg *config.Config, opts Options) (Plan, error) {
	p := planner{tree: t, cfg: cfg, opts: opts, before: map[string]present{}, texts: map[string]string{}}
	for _, path := range Paths() {
		p.before[path] = lookAt(t, path)
	}
	if !opts.Remove {
		p.host = look(t)
		p.write()
	}
	for _, path := range Paths() {
		p.file(path)
	}
	return p.plan, errors.Join(p.errs...)
}

// planner holds what NewPlan has worked out so far.
type planner struct {
	tree   tree.Tree
	cfg    *config.Config
	opts   Options
	host   host
	before map[string]present
	// texts has the files that should be there.
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

// asked reports whether a file of those that not every host needs is to be there.
func (p *planner) asked(flag bool, path string) bool { return flag || p.before[path].ours }

// write works out the text of every file.
func (p *planner) write() {
	options := p.options()
	if p.host.builtIn {
		p.commandLine(options)
	} else {
		p.texts[ModprobePath] = p.modprobe(options)
		p.texts[p.loader()] = p.load()
	}
	if p.asked(p.opts.Udev, SysctlPath) || p.asked(p.opts.Udev, UdevRulePath) {
		p.net(options)
	}
}

// loader is the file that loads the module at boot.
func (p *planner) loader() string {
	if p.asked(p.opts.Sysconfig, SysconfigPath) {
		return SysconfigPath
	}
	return ModulesLoadPath
}

// net works out the udev rule and the sysctl.d file.
func (p *planner) net(options []option) {
	if p.asked(p.opts.Udev, SysctlPath) {
		p.texts[SysctlPath] = p.sysctls(options)
	}
	// A built-in announces nothing, and is there before sysctl.d is read.
	if p.host.builtIn || !p.asked(p.opts.Udev, UdevRulePath) || p.texts[SysctlPath] == "" {
		return
	}
	if p.host.systemdSysctl == "" {
		p.fail(fmt.Errorf("cannot write %s: no systemd-sysctl in %s", UdevRulePath, strings.Join(systemdDirs(), " or ")))
		for _, path := range []string{SysctlPath, UdevRulePath} {
			p.texts[path] = string(p.before[path].content) // the one is nothing without the other
		}
		return
	}
	p.texts[UdevRulePath] = udevRule(p.host.systemdSysctl)
}

// file adds one file to the plan, unless it is somebody else's.
func (p *planner) file(path string) {
	text, before := p.texts[path], p.before[path]
	switch {
	case before.masked && text != "":
		p.note("%s is a link to /dev/null: it is left as it is", path)
	case before.masked:
	case errors.Is(before.err, ErrForeign) && text != "":
		p.fail(fmt.Errorf("cannot write %s: %w: move it away first", path, before.err))
	case before.err != nil && text != "":
		p.fail(fmt.Errorf("cannot write %s: %w", path, before.err))
	case before.err != nil && p.opts.Remove:
		p.note("%s is left as it is: %s", path, before.err)
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
	if path == SysconfigPath { // what cannot be executed is not run
		return 0o755
	}
	return 0o644
}

// present is what is at one of persist's paths.
type present struct {
	content []byte
	mode    fs.FileMode
	ours    bool
	masked  bool
	// err is why it is not persist's to write.
	err error
}

func lookAt(t tree.Tree, path string) present {
	switch {
	case t.Gone(path):
		return present{}
	case t.IsNull(path):
		return present{masked: true}
	}
	if link, err := isLink(t, path); err != nil {
		return present{err: err}
	} else if link {
		return present{err: fmt.Errorf("a symbolic link: %w", ErrForeign)}
	}
	content, err := t.Read(path, maxFileSize)
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = inner.Err // the path stands before it
	}
	if err != nil {
		return present{err: err}
	}
	info, err := t.Stat(path)
	if err != nil {
		return present{err: err}
	}
	if !IsOurs(content) {
		return present{err: ErrForeign}
	}
	return present{content: content, mode: info.Mode().Perm(), ours: true}
}

// isLink reports whether path itself is a symbolic link. A loop on the way to it is an
// error.
func isLink(t tree.Tree, path string) (bool, error) {
	dir, _, err := t.Resolve(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	end, _, err := t.Resolve(path)
	return err != nil || end != filepath.Join(dir, filepath.Base(path)), nil
}
