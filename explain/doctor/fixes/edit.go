package fixes

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// CommentOut gives a command for each file that has one of the lines. What stands on
// several lines of a file, a backslash at their end, is out with its first.
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
		fix = append(fix, Edit(h.Tree, file, strings.Join(slices.Compact(scripts), ";")))
	}
	return fix
}

// Literal makes a basic regular expression of sed(1), within slashes, that matches
// just the text.
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

// Edit gives the command that runs a sed(1) script over a configuration file for
// good: in place where the file is the administrator's, and where it is a
// package's into the copy in /etc that hides it, which no update overwrites.
func Edit(t tree.Tree, file, script string) string {
	if own, ok := overridePath(file); ok {
		return "mkdir -p " + shell.Quote(path.Dir(own)) + " && sed " + shell.Quote(script) + " " + shell.Quote(file) + " > " + shell.Quote(own)
	}
	// sed -i puts a file in the place of a link: right where the link leads to a
	// package's file, wrong where it leads to another file of the administrator's.
	if end, _, err := t.Resolve(file); err == nil && strings.HasPrefix(end, "/etc/") {
		file = end
	}
	return "sed -i " + shell.Quote(script) + " " + shell.Quote(file)
}

// EditJoined is edit where lines may go on behind a backslash: then they are joined
// first, as modprobe(8) does it.
func EditJoined(h *picture.Host, file string, scripts []string) string {
	script := strings.Join(scripts, ";")
	if data, err := h.Tree.Read(file, 1<<20); err == nil && strings.Contains(string(data), "\\\n") {
		script = ":a\n/\\\\$/{\nN\ns/\\\\\\n//\nta\n}\n" + script
	}
	return Edit(h.Tree, file, script)
}

// overridePath is the file in /etc that hides a drop-in of another directory: of
// modprobe.d, sysctl.d, modules-load.d, udev/rules.d.
func overridePath(file string) (string, bool) {
	for _, dir := range []string{"/usr/local/lib/", "/usr/lib/", "/lib/", "/run/"} {
		if rest, ok := strings.CutPrefix(file, dir); ok {
			return "/etc/" + rest, true
		}
	}
	return "", false
}
