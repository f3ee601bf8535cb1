package doctortest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/host/change"
)

// IDs are those of findings, in their order.
func IDs(findings []finding.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.ID)
	}
	return all
}

// Find returns the finding with an id, and fails the test if there is no such finding.
func Find(t *testing.T, findings []finding.Finding, id string) finding.Finding {
	t.Helper()
	i := slices.IndexFunc(findings, func(f finding.Finding) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no finding %s among %q", id, IDs(findings))
	}
	return findings[i]
}

// Check holds findings against those that are wanted; nil and empty lists are the
// same.
func Check(t *testing.T, got, want []finding.Finding) {
	t.Helper()
	plain := func(list []finding.Finding) []finding.Finding {
		var out []finding.Finding
		for _, f := range list {
			if len(f.Fix) == 0 {
				f.Fix = nil
			}
			if len(f.Evidence) == 0 {
				f.Evidence = nil
			}
			out = append(out, f)
		}
		return out
	}
	if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// Read returns the content of a file below root.
func Read(t *testing.T, root, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// FixTwice applies the fix of the host's first finding, twice, on a root with one file. Each time the file must be
// as wanted afterwards.
func FixTwice(t *testing.T, h *picture.Host, check picture.Check, file, before, after string) {
	t.Helper()
	root := SetFiles(t, h, map[string]string{strings.TrimPrefix(file, "/"): before})
	fix := check(h)[0].Fix
	for range 2 {
		if !Apply(t, root, fix) {
			t.Fatalf("not all steps of %q can be taken", change.Render(fix, ""))
		}
		if diff := cmp.Diff(after, Read(t, root, file)); diff != "" {
			t.Fatalf("after %q (-want +got):\n%s", change.Render(fix, ""), diff)
		}
	}
}
