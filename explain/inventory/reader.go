package inventory

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/distro"
	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	// maxFile limits the size of a file that is read, in bytes.
	maxFile = 1 << 20
	// maxTroubles and maxAssignments limit what is kept of one file. There are far fewer settings.
	maxTroubles    = 10
	maxAssignments = 1000
	// maxDead limits the dead lines of one file.
	maxDead = 50

	// persistHeader begins the files that persist writes. It is the start of persist.Header, which
	// this package may not import.
	persistHeader = "# Written by ctkeeper persist"
)

// The errors of files and lines. The file, or file and line, stand before them.
var (
	errBinary        = errors.New("is not a text file")
	errNotAssignment = errors.New("is not an assignment")
	errTooLong       = errors.New("has 1000 assignments or more: the rest is ignored")
	errScripts       = errors.New("is the 1000th script or command: the rest is ignored")
	errTooMany       = errors.New("has more invalid lines")
	errTOML          = errors.New("is not valid TOML")
	errYAML          = errors.New("is not valid YAML")
	errDuration      = errors.New("is not a duration")
	errNumber        = errors.New("is not a number")
	errJSON          = errors.New("is not a valid daemon.json")
	errRule          = errors.New("is not a valid rule of udev(7)")
)

// reader collects an inventory.
type reader struct {
	tree    tree.Tree
	inv     Inventory
	init    initKind
	builtIn bool
	// sysctls are the sysctl.d files in the order of their names, /etc/sysctl.conf last.
	sysctls []sysctlFile
	// Counts and facts by file.
	troubles, assignments, dead map[string]int
	fromPersist                 map[string]bool
	// understood are the lines, or whole files with line 0, that a reader understood although they set
	// nothing. They are no mentions.
	understood map[tree.Place]bool
	// maybeEarly is true if an initramfs may load the module before everything else.
	maybeEarly bool
	// coreOnly are those of EarlyLoads that do not bring the settings of the protocols.
	coreOnly map[tree.Place]bool
	// kernels are the modules of this host's kernels, once they were needed.
	kernels []kmod.Index
	// scripts counts the scripts that were followed.
	scripts int
	// units are the units of systemd, once they were needed.
	units unitSet
	// Answers that are found once: whether this kernel has the keys of ip_conntrack, and the
	// settings that a sysctl pattern can match.
	hasOld    *bool
	matchable []string
}

// readers returns the readers of the tools that set values, one for each tool. Each adds to the
// inventory what its tool's files say, and nothing if the tool is not installed. Within one phase
// of the boot, the order of this list is the order of the assignments.
func readers() []func(*reader) {
	return []func(*reader){
		(*reader).readModprobe,
		(*reader).readModulesLoad,
		(*reader).readSysconfigModules,
		(*reader).readSysctl,
		(*reader).readTmpfiles,
		(*reader).readUdev,
		(*reader).readIptables,
		(*reader).readFirewalld,
		(*reader).readUFW,
		(*reader).readShorewall,
		(*reader).readFirewallHooks,
		(*reader).readWireGuard,
		(*reader).readArno,
		(*reader).readProxmox,
		(*reader).readTuned,
		(*reader).readRcLocal,
		(*reader).readHooks,
		(*reader).readUnits,
		(*reader).readInitScripts,
		(*reader).readLocalD,
		(*reader).readCron,
		(*reader).readDispatchers,
		(*reader).readIfupdown,
		(*reader).readKubeProxy,
		(*reader).readPods,
		(*reader).readDocker,
		(*reader).readUnusedSysctl,
		(*reader).readMisspeltSysctl,
		(*reader).readMentions,
		(*reader).readProxyTraces,
	}
}

// Read reads the files of every tool that can set nf_conntrack's values.
func Read(t tree.Tree) Inventory {
	r := &reader{
		tree: t, troubles: map[string]int{}, assignments: map[string]int{}, dead: map[string]int{},
		fromPersist: map[string]bool{},
		understood:  map[tree.Place]bool{}, coreOnly: map[tree.Place]bool{},
	}
	r.builtIn = kmod.Observe(t, kmod.Conntrack).State == kmod.BuiltIn
	r.init = r.initSystem()
	r.inv.Systemd = r.init == initSystemd
	r.sysctls = r.sysctlFiles()
	for _, read := range readers() {
		read(r)
	}
	switch {
	case r.builtIn || r.maybeEarly || distro.Read(t).Platform.Container != "": // its host loads the module
	case len(r.inv.EarlyLoads) == 0:
		markTooEarly(r.inv.Assignments, func(Assignment) bool { return true })
	case !slices.ContainsFunc(r.inv.EarlyLoads, func(at tree.Place) bool { return !r.coreOnly[at] }):
		markTooEarly(r.inv.Assignments, func(a Assignment) bool { return isProtocolKey("nf_conntrack_" + a.Name) })
	}
	markOverridden(r.inv.Assignments)
	slices.SortStableFunc(r.inv.DeadLines, func(a, b DeadLine) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	r.inv.Troubles = append(r.inv.Modprobe.Troubles, r.inv.Troubles...)
	return r.inv
}

// read returns the text of a file. A missing file is not a trouble.
func (r *reader) read(path string) (string, bool) {
	data, err := r.tree.Read(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false
	case err != nil:
		r.addTrouble(tree.Place{File: path}, tree.WithoutPath(err))
		return "", false
	case bytes.IndexByte(data, 0) >= 0:
		r.addTrouble(tree.Place{File: path}, errBinary)
		return "", false
	}
	text := string(data)
	first, rest, _ := strings.Cut(text, "\n")
	second, _, _ := strings.Cut(rest, "\n") // after the #! of a script
	r.fromPersist[path] = strings.HasPrefix(first, persistHeader) || strings.HasPrefix(second, persistHeader)
	if r.fromPersist[path] && !slices.Contains(r.inv.PersistFiles, path) {
		r.inv.PersistFiles = append(r.inv.PersistFiles, path)
	}
	return text, true
}

// list returns the sorted names in a directory. A missing directory is not a trouble.
func (r *reader) list(dir string) []string {
	names, err := r.tree.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.addTrouble(tree.Place{File: dir}, tree.WithoutPath(err))
	}
	return names
}

func (r *reader) addTrouble(at tree.Place, err error) {
	r.troubles[at.File]++
	switch n := r.troubles[at.File]; {
	case n == maxTroubles:
		err = errTooMany
	case n > maxTroubles:
		return
	}
	r.inv.Troubles = append(r.inv.Troubles, tree.Trouble{Place: at, Err: err})
}

// markUnderstood records a line, or a whole file without a line, that sets nothing although it names
// nf_conntrack.
func (r *reader) markUnderstood(at tree.Place) { r.understood[at] = true }

func (r *reader) addAssignment(a Assignment) {
	r.assignments[a.File]++
	switch n := r.assignments[a.File]; {
	case n == maxAssignments:
		r.addTrouble(tree.Place{File: a.File}, errTooLong)
		return
	case n > maxAssignments:
		return
	}
	a.FromPersist = r.fromPersist[a.File]
	r.evaluate(&a)
	r.inv.Assignments = append(r.inv.Assignments, a)
}

func (r *reader) addOption(tool, name, value string, at tree.Place, isDefault bool) {
	r.inv.ToolOptions = append(r.inv.ToolOptions,
		ToolOption{Place: at, Tool: tool, Name: name, Value: value, Default: isDefault})
}

// addDeadLoad adds a line that was meant to load nf_conntrack.
func (r *reader) addDeadLoad(at tree.Place, why string) {
	r.addDead(DeadLine{Place: at, Why: why, Loads: true})
}

// addDead adds a line that does nothing, once.
func (r *reader) addDead(d DeadLine) {
	r.dead[d.File]++
	known := slices.ContainsFunc(r.inv.DeadLines, func(e DeadLine) bool { return e.Place == d.Place && e.Key == d.Key })
	if r.dead[d.File] <= maxDead && !known {
		r.inv.DeadLines = append(r.inv.DeadLines, d)
	}
}

// isFile reports whether a path is that of a regular file.
func (r *reader) isFile(path string) bool {
	info, err := r.tree.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// isExecutable reports whether a file has an x bit.
func (r *reader) isExecutable(path string) bool {
	info, err := r.tree.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// dropins returns the drop-ins with an extension that are not masked, in the order in which they are
// read. Those that a file of the same name hides are among them.
func (r *reader) dropins(ext string, dirs ...string) []dropin.File {
	files, troubles := dropin.List(r.tree, dirs, dropin.HasSuffix(ext))
	for _, wrong := range troubles {
		r.addTrouble(wrong.Place, tree.WithoutPath(wrong.Err))
	}
	return slices.DeleteFunc(files, func(f dropin.File) bool { return f.Masked })
}

// hiddenReason returns why a drop-in is not read, or "".
func hiddenReason(f dropin.File) string {
	if f.HiddenBy == "" {
		return ""
	}
	return "hidden by " + f.HiddenBy
}
