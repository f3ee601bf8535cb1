package boot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/persist"
)

// checkBootFiles compares the boot files that persist writes with the configuration.
func checkBootFiles(h *picture.Host) []finding.Finding {
	if h.Config == nil || !h.Env.Installed && len(h.Config.Files) == 0 {
		return nil
	}
	f := finding.Finding{ID: "boot-files-stale", Severity: finding.Warning}
	f.Fix = []finding.Step{change.Run("ctkeeper", "persist")}
	exists := false
	var paths []string
	for _, file := range h.BootPlan.Files {
		exists = exists || file.Before != nil
		if text := difference(file); text != "" {
			paths = append(paths, file.Path)
			f.Evidence = append(f.Evidence, finding.Seen(file.Path, 0, text))
		}
	}
	var found []finding.Finding
	if len(paths) > 0 {
		f.Summary = "the boot files are not as configured: " + strings.Join(paths, ", ")
		if !exists {
			f.Severity = finding.Info
			f.Summary = "the boot files are not written: until ctkeeper runs, the module has other values after it " +
				"is loaded"
		}
		found = append(found, f)
	}
	if h.BootPlanErr != nil {
		found = append(found, refusedFiles(h.BootPlanErr))
	}
	return found
}

// refusedFiles is the finding about boot files that persist refuses to write.
func refusedFiles(err error) finding.Finding {
	f := finding.Finding{
		ID: "boot-files-refused", Severity: finding.Warning, Summary: "the boot files cannot be written as configured",
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		f.Evidence = append(f.Evidence, finding.Evidence{Text: line})
	}
	if errors.Is(err, persist.ErrForeign) {
		f.Note = "persist does not replace a file that it did not write: move it away, and run ctkeeper persist."
	}
	return f
}

// difference returns how a boot file differs from the wanted one; "" where it does not.
func difference(f persist.File) string {
	switch {
	case f.Before == nil && f.Content == nil:
		return ""
	case f.Before == nil:
		return "does not exist"
	case f.Content == nil:
		return "should not exist"
	case string(f.Before) == string(f.Content) && f.Mode == f.BeforeMode:
		return ""
	case string(f.Before) == string(f.Content):
		return fmt.Sprintf("has mode %04o, should have %04o", f.BeforeMode.Perm(), f.Mode.Perm())
	}
	before, content := strings.Split(string(f.Before), "\n"), strings.Split(string(f.Content), "\n")
	for _, line := range content {
		if line != "" && !slices.Contains(before, line) {
			return "should have: " + line
		}
	}
	for _, line := range before {
		if line != "" && !slices.Contains(content, line) {
			return "should not have: " + line
		}
	}
	return "has its lines in another order"
}
