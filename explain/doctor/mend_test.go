package doctor_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// treesVariable names a directory with unpacked hosts, which TestFixesMend then examines in place of testdata.
const treesVariable = "CTKEEPER_TREES"

// TestFixesMend takes the steps of each fix on a tree of its own. Then the finding is gone, and to take them again
// changes nothing.
func TestFixesMend(t *testing.T) {
	for name, unpack := range hostTrees(t) {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			unpack(t, root)
			report, err := examine(t, root)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range report.Findings {
				if len(f.Fix) > 0 {
					root := t.TempDir()
					unpack(t, root)
					checkMends(t, root, f)
				}
			}
		})
	}
}

// hostTrees returns what makes each host's tree below a directory.
func hostTrees(t *testing.T) map[string]func(*testing.T, string) {
	t.Helper()
	trees := map[string]func(*testing.T, string){}
	if dir := os.Getenv(treesVariable); dir != "" {
		roots, err := filepath.Glob(filepath.Join(dir, "*"))
		must(t, err)
		for _, root := range roots {
			trees[filepath.Base(root)] = func(t *testing.T, to string) { must(t, os.CopyFS(to, os.DirFS(root))) }
		}
		return trees
	}
	archives, err := filepath.Glob("testdata/*/*.txtar")
	must(t, err)
	for _, archive := range archives {
		trees[filepath.Base(archive)] = func(t *testing.T, to string) { kerneltree.Unpack(t, to, archive) }
	}
	return trees
}

// checkMends takes the fix of a finding, twice. A fix that a tree cannot show the effect of is left out.
func checkMends(t *testing.T, root string, f finding.Finding) {
	t.Helper()
	if !doctortest.Apply(t, root, f.Fix) || !changesFiles(f.Fix) {
		return
	}
	once := contents(t, root)
	report, err := examine(t, root)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range report.Findings {
		if g.ID == f.ID && slices.ContainsFunc(g.Evidence, func(e finding.Evidence) bool {
			return isEdited(f.Fix, e) && slices.Contains(f.Evidence, e)
		}) {
			t.Errorf("%s is still there: %s\nfix %+v", f.ID, g.Summary, f.Fix)
		}
	}
	doctortest.Apply(t, root, f.Fix)
	if diff := cmp.Diff(once, contents(t, root)); diff != "" {
		t.Errorf("the fix of %s, taken twice (-once +twice):\n%s", f.ID, diff)
	}
}

// changesFiles reports whether steps change files, and not only the running system.
func changesFiles(steps []finding.Step) bool {
	return slices.ContainsFunc(steps, func(s finding.Step) bool { return s.Edit != nil || s.Write != nil })
}

// isEdited reports whether evidence is about a line that the steps edit or, where they edit none, about a file that
// they write.
func isEdited(steps []finding.Step, e finding.Evidence) bool {
	return slices.ContainsFunc(steps, func(s finding.Step) bool {
		return s.Edit != nil && s.Edit.File == e.File && s.Edit.Line == e.Line ||
			s.Write != nil && s.Write.File == e.File
	})
}

// contents has the text of every regular file below root.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			content, err := os.ReadFile(path)
			all[path] = string(content)
			return err
		}
		return err
	}))
	return all
}
