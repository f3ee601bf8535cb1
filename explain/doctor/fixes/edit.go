package fixes

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// CommentOut returns the steps that make lines into comments.
func CommentOut(h *picture.Host, places ...tree.Place) []finding.Step {
	return Edit(h, places, func(tree.Place, string) string { return "" })
}

// Edit returns the steps that change lines of configuration files. The function returns the new text of a
// line, those that a backslash continues joined, or "" where it becomes a comment.
//
// The administrator's file is edited in place. A package's file is copied to /etc, and the copy edited: it hides
// the file, and no update overwrites it.
func Edit(h *picture.Host, places []tree.Place, rewrite func(p tree.Place, line string) string) []finding.Step {
	places = slices.SortedFunc(slices.Values(places), func(a, b tree.Place) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	places = slices.Compact(places)
	var steps []finding.Step
	for len(places) > 0 {
		file := places[0].File
		text := h.Text(file)
		lines := slices.Clone(text.Lines)
		var blocks []finding.Step
		for ; len(places) > 0 && places[0].File == file; places = places[1:] {
			if p := places[0]; !rewriteLine(lines, p, rewrite) {
				blocks = append(blocks, change.Block("Edit "+p.String()+" by hand."))
			}
		}
		var copied []finding.Step
		text.File, copied = ownFile(h, file)
		steps = slices.Concat(steps, copied, text.Edits(lines), blocks)
	}
	return steps
}

// Append returns the steps that add a line to the end of a file.
func Append(h *picture.Host, file, line string) []finding.Step {
	text := h.Text(file)
	lines := append(slices.Clone(text.Lines), line)
	var copied []finding.Step
	text.File, copied = ownFile(h, file)
	return append(copied, text.Edits(lines)...)
}

// rewriteLine changes the line at a place, and reports whether it could. All physical lines of a continued one
// become comments: libkmod continues a comment too (freadline_wrapped), systemd and udev do not (config_parse,
// udev_rules_parse_file).
func rewriteLine(lines []string, p tree.Place, rewrite func(tree.Place, string) string) bool {
	if p.Line < 1 || p.Line > len(lines) {
		return false
	}
	all := lines[p.Line-1:]
	all = all[:physical(all)]
	joined := ""
	for i, line := range all {
		if i+1 < len(all) {
			line = strings.TrimSuffix(line, `\`)
		}
		joined += line
	}
	changed := rewrite(p, joined)
	if changed == joined {
		return false
	}
	for i, line := range all {
		switch {
		case i == 0 && changed != "":
			all[i] = changed
		case !strings.HasPrefix(line, "#"):
			all[i] = "# " + line
		}
	}
	return true
}

// physical returns how many lines the first one is continued on, itself included: as long as there is a
// backslash at the end that no other one precedes.
func physical(lines []string) int {
	n := 1
	for n < len(lines) {
		line := lines[n-1]
		backslashes := len(line) - len(strings.TrimRight(line, `\`))
		if backslashes%2 == 0 {
			break
		}
		n++
	}
	return n
}

// ownFile returns the file to edit in place of another, and the step that makes it: the copy of a package's file,
// or of one that a link in /etc leads to. A link to another file of /etc is followed.
func ownFile(h *picture.Host, file string) (string, []finding.Step) {
	target := h.Target(file)
	for _, dir := range []string{"/usr/local/lib/", "/usr/lib/", "/lib/"} {
		if rest, found := strings.CutPrefix(file, dir); found {
			own := path.Join("/etc", rest)
			return own, []finding.Step{change.Run("install", "-D", "-m", "644", file, own)}
		}
	}
	switch {
	case target == "" || target == file:
		return file, nil
	case strings.HasPrefix(file, "/etc/") && !strings.HasPrefix(target, "/etc/"):
		return file, []finding.Step{change.Run("install", "-D", "-m", "644", target, file)}
	}
	return target, nil
}
