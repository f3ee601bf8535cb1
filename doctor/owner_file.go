package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/ctkeeper/ctkeeper/tree"
)

// filesUnreadable are the files, and lines of files, that could not be taken into
// account.
func filesUnreadable(h *Host) []Finding {
	var found []Finding
	seen := map[string]bool{}
	troubles := slices.Concat(h.Inventory.Troubles, h.Inventory.Modprobe.Troubles, h.Index.Troubles)
	for _, k := range h.Kernels {
		troubles = append(troubles, k.Index.Troubles...)
	}
	for _, trouble := range append(troubles, h.Rules.Troubles...) {
		if key := trouble.Error(); !seen[key] {
			seen[key] = true
			found = append(found, h.trouble(trouble))
		}
	}
	return found
}

func (h *Host) trouble(t tree.Trouble) Finding {
	f := Finding{
		ID: "file-unreadable", Severity: Warning,
		Summary:  fmt.Sprintf("%s cannot be read, and may say something", t.File),
		Evidence: []Evidence{{t.Place, reason(t)}},
	}
	if t.Line > 0 {
		f.Summary = fmt.Sprintf("a line of %s cannot be understood", t.File)
		if text := strings.TrimSpace(h.rawLine(t.Place)); text != "" && len(text) <= maxQuoted {
			f.Evidence[0].Text = text + " (" + reason(t) + ")"
		}
		return f
	}
	switch file := quote(t.File); {
	case errors.Is(t, fs.ErrPermission):
		f.Severity = Info // of this process, not of the host
		f.Note = "Run ctkeeper doctor as root."
	case errors.Is(t, syscall.ELOOP):
		f.Summary = fmt.Sprintf("%s is a loop of symbolic links: nobody can read it", t.File)
		f.Fix = []string{"rm " + file}
	case errors.Is(t, syscall.EISDIR):
		f.Summary = fmt.Sprintf("%s is a directory and should be a file: what is in it is not read", t.File)
		f.Fix = []string{"mv " + file + " " + quote(t.File+".d")}
	case errors.Is(t, tree.ErrTooLarge):
		f.Summary = fmt.Sprintf("%s is too large for a configuration file, and was not read", t.File)
		f.Note = "Find out what wrote it, and put a short file in its place."
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
