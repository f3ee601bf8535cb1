package fixes

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/shell"
)

// CommentOut returns one command for each file that has some of the lines. A line that is continued by
// a backslash is commented out with its first line.
func CommentOut(h *picture.Host, lines []finding.Evidence) []string {
	lines = slices.SortedFunc(slices.Values(lines), func(a, b finding.Evidence) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	var fix []string
	for len(lines) > 0 {
		file, scripts := lines[0].File, []string{}
		for len(lines) > 0 && lines[0].File == file {
			scripts = append(scripts, fmt.Sprintf("%ds/^/# /", lines[0].Line))
			lines = lines[1:]
		}
		fix = append(fix, Edit(h, file, slices.Compact(scripts)...))
	}
	return fix
}

// Edit returns the command that runs sed(1) scripts over a configuration file. The administrator's file
// is edited in place. Of a package's file an edited copy is written to /etc: it hides the file, and no
// update overwrites it.
func Edit(h *picture.Host, file string, scripts ...string) string {
	script := strings.Join(scripts, ";")
	if own, found := overridePath(file); found {
		return "mkdir -p " + shell.Quote(path.Dir(own)) + " && sed " + shell.Quote(script) + " " +
			shell.Quote(file) + " > " + shell.Quote(own)
	}
	// sed -i replaces a link by a file. That is right for a link to a package's file, and wrong for one to
	// another file of the administrator's.
	if target := h.Target(file); strings.HasPrefix(target, "/etc/") {
		file = target
	}
	return "sed -i " + shell.Quote(script) + " " + shell.Quote(file)
}

// EditJoined returns the command of Edit for each file, by its scripts without repetitions. Lines that a
// backslash continues are joined first, as modprobe(8) does.
func EditJoined(h *picture.Host, scripts map[string][]string) []string {
	var commands []string
	for _, file := range slices.Sorted(maps.Keys(scripts)) {
		all := finding.Unique(scripts[file])
		if h.HasContinuedLines(file) {
			all[0] = ":a\n/\\\\$/{\nN\ns/\\\\\\n//\nta\n}\n" + all[0]
		}
		commands = append(commands, Edit(h, file, all...))
	}
	return commands
}

// overridePath returns the file in /etc that hides a drop-in of another directory: of modprobe.d,
// sysctl.d, modules-load.d, udev/rules.d.
func overridePath(file string) (string, bool) {
	for _, dir := range []string{"/usr/local/lib/", "/usr/lib/", "/lib/", "/run/"} {
		if rest, found := strings.CutPrefix(file, dir); found {
			return "/etc/" + rest, true
		}
	}
	return "", false
}

// Literal returns a basic regular expression of sed(1), for use between slashes, that matches only the
// text.
func Literal(text string) string {
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(`\/.*[]^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
