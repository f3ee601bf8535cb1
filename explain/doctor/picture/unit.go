package picture

import (
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/dropin"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// unitDirs returns the directories in which systemd looks for units. A directory hides those after it
// (systemd.unit(5)).
func unitDirs() []string {
	return []string{
		OwnUnitDir, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
		"/lib/systemd/system",
	}
}

// hasUnit reports whether the host has a unit.
func hasUnit(t tree.Tree, name string) bool {
	return slices.ContainsFunc(unitDirs(), func(dir string) bool { return t.Exists(path.Join(dir, name)) })
}

// readUnit finds ctkeeper's unit as systemd does. A link to /dev/null masks it. The overrides are in
// systemd's order: first the lines of a copy that hides the package's unit, then those of drop-ins.
func readUnit(t tree.Tree) (installed, masked bool, overrides []finding.Evidence) {
	var files []string
	for _, dir := range unitDirs() {
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

// isCopy reports whether a unit file is not from a package.
func isCopy(file string) bool {
	return strings.HasPrefix(file, "/etc/") || strings.HasPrefix(file, "/run/")
}

// resolve follows links; it returns the file itself where they loop.
func resolve(t tree.Tree, file string) string {
	end, _, err := t.Resolve(file)
	if err != nil {
		return file
	}
	return end
}

// listDropIns returns the drop-ins of the unit and of all services, sorted by file name. A file hides
// others of its name in later directories, and the unit's own hide those of all services.
func listDropIns(t tree.Tree) []string {
	var dirs, files []string
	for _, kind := range []string{UnitName + ".d", "service.d"} {
		for _, dir := range unitDirs() {
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

// readUnitLines returns the assignments of a unit file with continued lines joined (systemd.syntax(7)).
func readUnitLines(t tree.Tree, file string) []finding.Evidence {
	text, err := t.Read(file, maxText)
	if err != nil {
		return []finding.Evidence{finding.Seen(file, 0, "cannot be read: "+tree.WithoutPath(err).Error())}
	}
	var found []finding.Evidence
	whole, start := "", 0
	for number, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue // inside a continued line as well
		}
		if whole == "" {
			start = number + 1
		}
		rest, continued := strings.CutSuffix(line, `\`)
		whole = strings.TrimSpace(whole + " " + strings.TrimSpace(rest))
		if continued {
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
	for _, dir := range unitDirs() {
		names, _ := t.List(dir)
		if slices.ContainsFunc(names, func(name string) bool {
			wants := strings.HasSuffix(name, ".wants") || strings.HasSuffix(name, ".requires")
			return wants && !t.Gone(path.Join(dir, name, UnitName))
		}) {
			return true
		}
	}
	return false
}
