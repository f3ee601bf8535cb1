package files

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/shell"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxLines is how many bad lines of one file are shown.
const maxLines = 3

// Check are the files that could not be taken into account, as a whole or
// in some lines.
func Check(h *picture.Host) []finding.Finding {
	var files []string
	byFile := map[string][]tree.Trouble{}
	told := map[string]bool{}
	troubles := slices.Concat(h.Inventory.Troubles, h.Inventory.Modprobe.Troubles, h.Index.Troubles)
	for _, k := range h.Kernels {
		troubles = append(troubles, k.Index.Troubles...)
	}
	for _, trouble := range append(troubles, h.Rules.Troubles...) {
		if told[trouble.Error()] {
			continue
		}
		told[trouble.Error()] = true
		if !slices.Contains(files, trouble.File) {
			files = append(files, trouble.File)
		}
		byFile[trouble.File] = append(byFile[trouble.File], trouble)
	}
	var found []finding.Finding
	for _, file := range files {
		found = append(found, fileTroubles(h, file, byFile[file]))
	}
	return found
}

// fileTroubles judges what is wrong with one file.
func fileTroubles(h *picture.Host, file string, all []tree.Trouble) finding.Finding {
	for _, t := range all {
		if t.Line == 0 {
			return wholeFile(t)
		}
	}
	f := finding.Finding{ID: "file-unreadable", Severity: finding.Warning, Summary: "a line of " + file + " cannot be understood"}
	if len(all) > 1 {
		f.Summary = fmt.Sprintf("%d lines of %s cannot be understood", len(all), file)
	}
	for _, t := range all[:min(len(all), maxLines)] {
		text := reason(t)
		if line := strings.TrimSpace(h.Line(t.Place)); line != "" && len(line) <= picture.MaxQuoted {
			text = line + " (" + text + ")"
		}
		f.Evidence = append(f.Evidence, finding.At(t.Place, text))
	}
	f.Note = "Correct them, or take them out; the rest of the file counts."
	if len(all) == 1 {
		f.Note = "Correct it, or take it out; the rest of the file counts."
	}
	return f
}

// wholeFile judges a file of which nothing could be read.
func wholeFile(t tree.Trouble) finding.Finding {
	f := finding.Finding{
		ID: "file-unreadable", Severity: finding.Warning,
		Summary:  fmt.Sprintf("%s cannot be read, and may say something", t.File),
		Evidence: []finding.Evidence{finding.At(t.Place, reason(t))},
	}
	dir, name := path.Split(t.File)
	switch file := shell.Quote(t.File); {
	case errors.Is(t, fs.ErrPermission):
		f.Severity = finding.Info // of this process, not of the host
		f.Note = "Run ctkeeper doctor as root."
	case slices.Contains([]string{"modules.dep", "modules.softdep"}, name): // depmod(8) writes them
		f.Fix = []string{"depmod -a " + shell.Quote(path.Base(dir))}
	case errors.Is(t, syscall.ELOOP):
		f.Summary = fmt.Sprintf("%s is a loop of symbolic links: nobody can read it", t.File)
		f.Fix = []string{"rm " + file}
	case errors.Is(t, syscall.EISDIR):
		f.Summary = fmt.Sprintf("%s is a directory and should be a file: what is in it is not read", t.File)
		f.Fix = []string{"mv " + file + " " + shell.Quote(t.File+".d")}
	case errors.Is(t, tree.ErrTooLarge):
		f.Summary = fmt.Sprintf("%s is too large for a configuration file, and was not read", t.File)
		f.Note = "Find out what wrote it, and put a short file in its place."
	default:
		f.Note = "Find out what wrote it, and put a right file in its place, or take it away."
	}
	return f
}

// reason is a trouble's error without the file, which stands before it.
func reason(t tree.Trouble) string {
	if wrapped := (*fs.PathError)(nil); errors.As(t.Err, &wrapped) && wrapped.Path == t.File {
		return wrapped.Err.Error()
	}
	return t.Err.Error()
}
