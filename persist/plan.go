package persist

import (
	"errors"
	"io/fs"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/tree"
)

// The files that persist owns.
const (
	ModulesLoad = "/etc/modules-load.d/ctkeeper.conf"
	Modprobe    = "/etc/modprobe.d/ctkeeper.conf"
	Sysconfig   = "/etc/sysconfig/modules/ctkeeper.modules"
	UdevRule    = "/etc/udev/rules.d/90-ctkeeper.rules"
	SysctlD     = "/etc/sysctl.d/90-ctkeeper.conf"
)

// Header begins every file that persist writes; a file without it is somebody
// else's.
const Header = "# Written by ctkeeper persist; changes are lost. See ctkeeper(8)."

// ErrForeign is a file at one of persist's paths that it did not write.
var ErrForeign = errors.New("not written by ctkeeper")

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

// NewPlan works out the files for a configuration on the host in the tree.
func NewPlan(t tree.Tree, cfg *config.Config, opts Options) (Plan, error) { return Plan{}, nil }

// Diff is the plan as a unified diff, empty where nothing changes.
func (p Plan) Diff() string { return "" }

// Write makes it so and tells the paths that it wrote or removed. Files that are as they should be
// are not touched.
func (p Plan) Write(t tree.Tree) (changed []string, err error) { return nil, nil }
