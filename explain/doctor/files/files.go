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
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// maxLines is how many bad lines of one file are shown.
const maxLines = 3

// Check returns the findings of this topic.
func Check(h *picture.Host) []finding.Finding { return h.Run(checkTroubles, checkMentions) }

// checkTroubles returns one finding for each file that could not be read, as a whole or in some lines.
func checkTroubles(h *picture.Host) []finding.Finding {
	var files []string
	byFile := map[string][]tree.Trouble{}
	done := map[string]bool{}
	for _, trouble := range h.Troubles() {
		if !done[trouble.Error()] {
			done[trouble.Error()] = true
			files = append(files, trouble.File)
			byFile[trouble.File] = append(byFile[trouble.File], trouble)
		}
	}
	var found []finding.Finding
	for _, file := range finding.Unique(files) {
		found = append(found, checkFile(h, file, byFile[file]))
	}
	return found
}

// checkFile returns the finding about the troubles of one file.
func checkFile(h *picture.Host, file string, all []tree.Trouble) finding.Finding {
	for _, t := range all {
		if t.Line == 0 {
			return wholeFile(t)
		}
	}
	f := finding.Finding{
		ID: "file-unreadable", Severity: finding.Info, Summary: "a line of " + file + " cannot be parsed",
		Note: "Correct or remove it. The rest of the file is used.",
	}
	// A sysctl that is lost matters. A line that modprobe(8) ignores, or about something else, does not.
	isLost := func(t tree.Trouble) bool { return strings.Contains(h.Line(t.Place), "conntrack") }
	if slices.ContainsFunc(all, isLost) && !strings.Contains(file, "/modprobe") {
		f.Severity = finding.Warning
	}
	if len(all) > 1 {
		f.Summary = fmt.Sprintf("%d lines of %s cannot be parsed", len(all), file)
		f.Note = "Correct or remove them. The rest of the file is used."
	}
	for _, t := range all[:min(len(all), maxLines)] {
		text := reason(t)
		if line := h.Quote(t.Place); line != "" {
			text = line + " (" + text + ")"
		}
		f.Evidence = append(f.Evidence, finding.At(t.Place, text))
	}
	return f
}

// wholeFile returns the finding about a file of which nothing could be read.
func wholeFile(t tree.Trouble) finding.Finding {
	f := finding.Finding{
		ID: "file-unreadable", Severity: finding.Warning,
		Summary:  t.File + " cannot be read, and may contain settings",
		Evidence: []finding.Evidence{finding.At(t.Place, reason(t))},
	}
	dir, name := path.Split(t.File)
	switch {
	case errors.Is(t, fs.ErrPermission):
		f.Severity = finding.Info // a limit of this process, not a fault of the host
		f.Note = "Run ctkeeper doctor as root."
	case slices.Contains([]string{"modules.dep", "modules.softdep"}, name): // depmod(8) writes them
		f.Fix = []finding.Step{change.Run("depmod", "-a", path.Base(dir))}
	case errors.Is(t, syscall.ELOOP):
		f.Summary = t.File + " is a loop of symbolic links: nothing can read it"
		f.Fix = []finding.Step{change.Run("rm", t.File)}
	case errors.Is(t, syscall.EISDIR):
		f.Summary = t.File + " is a directory where a file is expected: its content is not read"
		f.Fix = []finding.Step{change.Run("mv", t.File, t.File+".d")}
	case errors.Is(t, tree.ErrTooLarge):
		f.Summary = t.File + " is too large for a configuration file, and was not read"
		f.Note = "Find out what wrote it, and replace it by a short file."
	default:
		f.Note = "Find out what wrote it, and replace it by a correct file, or remove it."
	}
	return f
}

// reason returns the error of a trouble without the name of the file.
func reason(t tree.Trouble) string {
	if wrapped := (*fs.PathError)(nil); errors.As(t.Err, &wrapped) && wrapped.Path == t.File {
		return wrapped.Err.Error()
	}
	return t.Err.Error()
}
