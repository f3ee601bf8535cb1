package picture

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// cause is the cause of an error without the path, which stands beside it.
func cause(err error) string {
	if wrapped := (*fs.PathError)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err.Error()
}

// readUnit looks for the unit as systemd does: the first of its directories that has it
// hides the others, and a link to /dev/null masks it. Overrides are, in the order in
// which systemd takes them, the lines of a copy that hides the package's unit, then
// those of drop-ins.
func readUnit(t tree.Tree) (installed, masked bool, overrides []finding.Evidence) {
	var files []string
	for _, dir := range UnitDirs() {
		if file := path.Join(dir, UnitName); !t.Gone(file) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return false, false, nil
	}
	if t.IsNull(files[0]) {
		return true, true, nil
	}
	if len(files) > 1 && isCopy(files[0]) && resolve(t, files[0]) != resolve(t, files[len(files)-1]) {
		overrides = readUnitLines(t, files[0])
	}
	for _, file := range listDropIns(t) {
		overrides = append(overrides, readUnitLines(t, file)...)
	}
	return true, false, overrides
}

// isCopy tells a file that somebody made from a package's.
func isCopy(file string) bool {
	return strings.HasPrefix(file, "/etc/") || strings.HasPrefix(file, "/run/")
}

func resolve(t tree.Tree, file string) string {
	end, _, err := t.Resolve(file)
	if err != nil {
		return file
	}
	return end
}

// listDropIns returns the unit's drop-ins, and those of all services, sorted by file name. A file
// in the directory of highest precedence hides others of its name, and the unit's own hide those of all.
func listDropIns(t tree.Tree) []string {
	var dirs, files []string
	for _, kind := range []string{UnitName + ".d", "service.d"} {
		for _, dir := range UnitDirs() {
			dirs = append(dirs, path.Join(dir, kind))
		}
	}
	found, _ := dropin.List(t, dirs, dropin.HasSuffix(".conf")) // most of them do not exist
	for _, file := range found {
		if file.HiddenBy == "" && !file.Masked {
			files = append(files, file.Path)
		}
	}
	return files
}

// readUnitLines are the assignments of a unit file (systemd.syntax(7)), continued lines
// joined.
func readUnitLines(t tree.Tree, file string) []finding.Evidence {
	text, err := t.Read(file, maxUnit)
	if err != nil {
		return []finding.Evidence{finding.Seen(file, 0, "cannot be read: "+cause(err))}
	}
	var found []finding.Evidence
	whole, start := "", 0
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue // within a continued line too
		}
		if whole == "" {
			start = number + 1
		}
		rest, goesOn := strings.CutSuffix(line, `\`)
		whole = strings.TrimSpace(whole + " " + strings.TrimSpace(rest))
		if goesOn {
			continue
		}
		if whole != "" && whole[0] != '[' {
			found = append(found, finding.Seen(file, start, whole))
		}
		whole = ""
	}
	return found
}

// isEnabled reports whether a target wants or requires the unit.
func isEnabled(t tree.Tree) bool {
	for _, dir := range UnitDirs() {
		names, err := t.List(dir)
		if err != nil {
			continue
		}
		if slices.ContainsFunc(names, func(name string) bool {
			wants := strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires")
			return wants && !t.Gone(path.Join(dir, name, UnitName))
		}) {
			return true
		}
	}
	return false
}

// HasCapabilityAfter is whether a set has a capability after an assignment: an empty one
// takes all away, a list adds, and one that begins with "~" takes away.
func HasCapabilityAfter(has bool, value, capability string) bool {
	list, inverted := strings.CutPrefix(value, "~")
	named := slices.ContainsFunc(strings.Fields(list), func(name string) bool { return strings.EqualFold(name, capability) })
	switch {
	case inverted && strings.TrimSpace(list) == "":
		return true
	case inverted:
		return has && !named
	case value == "":
		return false
	}
	return has || named
}
