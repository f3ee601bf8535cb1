package boot

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/persist"
)

// checkBootFiles compares the files of persist with what the configuration asks.
func checkBootFiles(h *picture.Host) []finding.Finding {
	if h.Config == nil || !h.Env.Installed && len(h.Config.Files) == 0 {
		return nil
	}
	plan, err := persist.NewPlan(h.Tree, h.Config, persist.Options{})
	f := finding.Finding{ID: "boot-files-stale", Severity: finding.Warning, Fix: []string{"ctkeeper persist"}}
	there := false
	var paths []string
	for _, file := range plan.Files {
		there = there || file.Before != nil
		if string(file.Before) == string(file.Content) && (file.Before == nil) == (file.Content == nil) && (file.Before == nil || file.Mode == file.BeforeMode) {
			continue
		}
		paths = append(paths, file.Path)
		f.Evidence = append(f.Evidence, finding.Seen(file.Path, 0, difference(file)))
	}
	var found []finding.Finding
	if len(paths) > 0 {
		f.Summary = "the boot files are not what the configuration asks for: " + strings.Join(paths, ", ")
		if !there {
			f.Severity = finding.Info
			f.Summary = "the boot files are not written: until ctkeeper runs, the module comes up with other values"
		}
		found = append(found, f)
	}
	if err != nil {
		found = append(found, refusedFiles(err))
	}
	return found
}

// refusedFiles are the boot files that persist refuses to write.
func refusedFiles(err error) finding.Finding {
	f := finding.Finding{ID: "boot-files-refused", Severity: finding.Warning, Summary: "the boot files cannot be written as the configuration asks"}
	for _, line := range strings.Split(err.Error(), "\n") {
		f.Evidence = append(f.Evidence, finding.Evidence{Text: line})
	}
	if errors.Is(err, persist.ErrForeign) {
		f.Note = "persist replaces no file that it did not write: move it away, and run ctkeeper persist."
	}
	return f
}

// difference says what is to change in a boot file.
func difference(f persist.File) string {
	switch {
	case f.Before == nil:
		return "is not there"
	case f.Content == nil:
		return "should not be there"
	case string(f.Before) == string(f.Content):
		return fmt.Sprintf("has mode %04o, should have %04o", f.BeforeMode.Perm(), f.Mode.Perm())
	}
	have, should := strings.Split(string(f.Before), "\n"), strings.Split(string(f.Content), "\n")
	for _, line := range should {
		if line != "" && !slices.Contains(have, line) {
			return "should have: " + line
		}
	}
	for _, line := range have {
		if line != "" && !slices.Contains(should, line) {
			return "should not have: " + line
		}
	}
	return "has its lines in another order"
}
