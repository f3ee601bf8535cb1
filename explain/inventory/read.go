package inventory

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	// maxFile is far above any configuration file that people write.
	maxFile = 1 << 20
	// maxTroubles is how many bad lines of one file are worth telling, and
	// maxAssignments how many good ones: far more than there are settings.
	maxTroubles    = 10
	maxAssignments = 1000

	// ourHeader begins what persist writes. It is persist.Header as far as it
	// names the writer: persist is above this room.
	ourHeader = "# Written by ctkeeper persist"
)

// What is wrong with a file or a line.
var (
	errBinary        = errors.New("is not text")
	errNotAssignment = errors.New("is not an assignment")
	errTooLong       = errors.New("has more assignments than anybody writes: the rest is not looked at")
	errTooMany       = errors.New("has more lines that cannot be understood")
	errYAML          = errors.New("is not YAML")
	errDuration      = errors.New("is not a duration")
	errNumber        = errors.New("is not a number")
	errJSON          = errors.New("is not JSON as its program reads it")
	errRule          = errors.New("is not a rule of udev(7)")
)

// reader gathers an inventory.
type reader struct {
	tree    tree.Tree
	inv     Inventory
	builtIn bool
	ours    map[string]bool // by file
	wrong   map[string]int  // troubles by file
	right   map[string]int  // assignments by file
	old     *bool           // whether this kernel has the keys of ip_conntrack
	present []string        // what matching chooses from
}

// Read reads every place.
func Read(t tree.Tree) Inventory {
	r := &reader{tree: t, ours: map[string]bool{}, wrong: map[string]int{}, right: map[string]int{}}
	r.builtIn = kmod.Look(t.Root(), kmod.Conntrack).State == kmod.BuiltIn
	init := r.initSystem()
	r.inv.Systemd = init == initSystemd
	files := r.sysctlFiles()

	r.modprobe(files)
	r.modulesLoad(init)
	r.sysconfigModules(init)
	r.sysctlAtBoot(init, files)
	r.udev(files)
	r.iptables(files)
	r.firewalld()
	r.ufw()
	r.shorewall()
	r.proxmox()
	r.tuned(files)
	r.rcLocal(files)
	r.kubeProxy()
	r.docker()
	r.unread(files)

	if len(r.inv.EarlyLoads) == 0 && !r.builtIn {
		early(r.inv.Assignments)
	}
	settle(r.inv.Assignments)
	r.inv.Troubles = append(r.inv.Modprobe.Troubles, r.inv.Troubles...)
	return r.inv
}

// read reads a file of text whole. What is not there is no trouble.
func (r *reader) read(path string) (string, bool) {
	data, err := r.tree.Read(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false
	case err != nil:
		r.trouble(tree.Place{File: path}, cause(err))
		return "", false
	case bytes.IndexByte(data, 0) >= 0:
		r.trouble(tree.Place{File: path}, errBinary)
		return "", false
	}
	text := string(data)
	first, rest, _ := strings.Cut(text, "\n")
	second, _, _ := strings.Cut(rest, "\n") // behind the #! of a script
	r.ours[path] = strings.HasPrefix(first, ourHeader) || strings.HasPrefix(second, ourHeader)
	if r.ours[path] && !slices.Contains(r.inv.PersistFiles, path) {
		r.inv.PersistFiles = append(r.inv.PersistFiles, path)
	}
	return text, true
}

// list names what is in a directory, sorted. What is not there is no trouble.
func (r *reader) list(dir string) []string {
	names, err := r.tree.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.trouble(tree.Place{File: dir}, cause(err))
	}
	return names
}

// cause is an error without the path, which stands before it.
func cause(err error) error {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

func (r *reader) trouble(at tree.Place, err error) {
	r.wrong[at.File]++
	switch n := r.wrong[at.File]; {
	case n == maxTroubles:
		err = errTooMany
	case n > maxTroubles:
		return
	}
	r.inv.Troubles = append(r.inv.Troubles, tree.Trouble{Place: at, Err: err})
}

func (r *reader) add(a Assignment) {
	r.right[a.File]++
	switch n := r.right[a.File]; {
	case n == maxAssignments:
		r.trouble(tree.Place{File: a.File}, errTooLong)
		return
	case n > maxAssignments:
		return
	}
	a.FromPersist = r.ours[a.File]
	r.inv.Assignments = append(r.inv.Assignments, a)
}

func (r *reader) setSwitch(tool, name, value string, at tree.Place, isDefault bool) {
	r.inv.ToolOptions = append(r.inv.ToolOptions, ToolOption{Place: at, Tool: tool, Name: name, Value: value, Default: isDefault})
}

// executable reports whether a file has an x bit.
func (r *reader) executable(path string) bool {
	info, err := r.tree.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// enabled reports whether an init system starts a service, as far as the tree
// shows: true where it shows nothing of the kind.
func (r *reader) enabled(service string) bool {
	known := false
	wants, _ := r.tree.List("/etc/systemd/system")
	for _, dir := range wants {
		if strings.HasSuffix(dir, ".wants") {
			known = true
			if !r.tree.Gone(filepath.Join("/etc/systemd/system", dir, service+".service")) {
				return true
			}
		}
	}
	for _, dir := range []string{"/etc/rc3.d", "/etc/rc.d/rc3.d", "/etc/rc2.d", "/etc/runlevels/default", "/etc/runlevels/boot"} {
		names, err := r.tree.List(dir)
		known = known || err == nil && !r.inv.Systemd
		if slices.ContainsFunc(names, func(name string) bool {
			return name == service || len(name) > 3 && name[0] == 'S' && name[3:] == service
		}) {
			return true
		}
	}
	return !known
}

// dropin is a file of a directory of drop-ins that counts, or does not.
type dropin struct {
	path string
	// hidden is why it does not count, or "".
	hidden string
}

// dropins names the files of several directories, the one that hides the others
// first, in the order in which they are read: by name, whatever the directory. A
// directory that is another one by a link (/lib) is read once.
func (r *reader) dropins(ext string, dirs ...string) []dropin {
	var found []dropin
	first := map[string]string{}
	seen := map[string]bool{}
	for _, dir := range dirs {
		end, _, err := r.tree.Resolve(dir)
		if err == nil && seen[end] {
			continue
		}
		seen[end] = true
		for _, name := range r.list(dir) {
			if !strings.HasSuffix(name, ext) || strings.HasPrefix(name, ".") {
				continue
			}
			path := filepath.Join(dir, name)
			by, taken := first[name]
			switch {
			case taken:
				found = append(found, dropin{path, "hidden by " + by})
			case r.tree.IsNull(path):
				first[name] = path
			default:
				first[name] = path
				found = append(found, dropin{path: path})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b dropin) int {
		return strings.Compare(filepath.Base(a.path), filepath.Base(b.path))
	})
	return found
}

// configDirs are the directories of a kind of drop-in, the first hiding the
// others.
func configDirs(kind string) []string {
	var dirs []string
	for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
		dirs = append(dirs, filepath.Join(dir, kind))
	}
	return dirs
}
