package picture

import (
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// maxQuotedFile is the longest file from which lines are quoted, in bytes.
	maxQuotedFile = 1 << 20
	// maxQuotedLine is the longest line that is quoted, in bytes.
	maxQuotedLine = 200
)

// textFile is a file that evidence names or a fix edits.
type textFile struct {
	change.Text
	// target is the file that the path leads to when links are followed; "" where they loop.
	target string
}

// ReadFiles reads every file that the inventory, modprobe.d, the firewall or the unit's overrides name.
func (h *Host) ReadFiles(t tree.Tree) {
	h.files = map[string]textFile{}
	read := func(p tree.Place) {
		if _, done := h.files[p.File]; done || p.File == "" {
			return
		}
		f := textFile{Text: change.Text{File: p.File}}
		if target, _, err := t.Resolve(p.File); err == nil {
			f.target = target
		}
		if data, err := t.Read(p.File, maxQuotedFile); err == nil {
			f.Text = change.NewText(p.File, string(data))
		}
		h.files[p.File] = f
		if _, done := h.files[f.target]; !done {
			h.files[f.target] = f
		}
	}
	for _, a := range h.Inventory.Assignments {
		read(a.Place)
	}
	for _, o := range h.Inventory.ToolOptions {
		read(o.Place)
	}
	for _, p := range h.Inventory.PodSysctls {
		read(p.Place)
	}
	for _, d := range h.Inventory.Modprobe.Directives {
		read(d.Place)
	}
	for _, d := range h.Inventory.DeadLines {
		read(d.Place)
	}
	for _, trouble := range h.Troubles() {
		read(trouble.Place)
	}
	for _, line := range h.Env.Overrides {
		read(line.Place)
	}
	for _, text := range h.Boot.Texts() {
		read(tree.Place{File: text.File})
	}
}

// Troubles returns everything that could not be read or parsed, in files as a whole or in single lines.
func (h *Host) Troubles() []tree.Trouble {
	all := slices.Concat(h.Inventory.Troubles, h.Inventory.Modprobe.Troubles, h.Index.Troubles)
	for _, k := range h.Kernels {
		all = append(all, k.Index.Troubles...)
	}
	return append(all, h.Rules.Troubles...)
}

// Text returns a file that evidence names, without lines where it cannot be read.
func (h *Host) Text(file string) change.Text { return h.files[file].Text }

// Line returns a line; "" where it cannot be read or is not text.
func (h *Host) Line(p tree.Place) string {
	lines := h.files[p.File].Lines
	if p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	line := strings.TrimRight(lines[p.Line-1], "\r")
	if !change.IsPlain(line) {
		return ""
	}
	return line
}

// Quote returns a line without the spaces around it; "" where it cannot be read or is too long to quote.
func (h *Host) Quote(p tree.Place) string {
	text := strings.TrimSpace(h.Line(p))
	if len(text) > maxQuotedLine {
		return ""
	}
	return text
}

// Target returns the file that a path leads to when links are followed; "" where they loop.
func (h *Host) Target(file string) string { return h.files[file].target }
