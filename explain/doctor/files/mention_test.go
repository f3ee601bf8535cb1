package files_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/files"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
)

func TestMentions(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{
		"etc/agent/agent.yaml": "limits:\n  nf_conntrack_max: 500000\n",
		"etc/agent/watch":      "files = nf_conntrack_count\n",
	})
	want := []finding.Finding{{
		ID: "mentioned", Severity: finding.Info,
		Summary: "2 lines mention nf_conntrack, not understood; 1 could set a value",
		Evidence: []finding.Evidence{
			finding.Seen("/etc/agent/agent.yaml", 2, "nf_conntrack_max: 500000 (could set max)"),
			finding.Seen("/etc/agent/watch", 1, "files = nf_conntrack_count"),
		},
		Note: "Read these lines: what this report states about a setting is true only if none of them sets it. " +
			"To know who writes a value, run ctkeeper with guard: watch; ctkeeper events then names the writer.",
	}}
	doctortest.Check(t, files.Check(doctortest.Take(t, root)), want)
	doctortest.Put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "guard: watch\n"})
	note := doctortest.Find(t, files.Check(doctortest.Take(t, root)), "mentioned").Note
	if strings.Contains(note, "guard") {
		t.Errorf("the guard watches, and the note is %q", note)
	}
}

func TestMentionsThatSetNothing(t *testing.T) {
	root := t.TempDir()
	doctortest.Put(t, root, map[string]string{"etc/agent/watch": "files = nf_conntrack_count\n"})
	want := []finding.Finding{{
		ID: "mentioned", Severity: finding.Info, Summary: "1 line mentions nf_conntrack, not understood",
		Evidence: []finding.Evidence{finding.Seen("/etc/agent/watch", 1, "files = nf_conntrack_count")},
		Note:     "None of these lines was found to set a value at each boot.",
	}}
	doctortest.Check(t, files.Check(doctortest.Take(t, root)), want)
}

// TestManyMentions has more lines than are kept of one file.
func TestManyMentions(t *testing.T) {
	root := t.TempDir()
	var text strings.Builder
	for n := range 100 {
		fmt.Fprintf(&text, "limit%d: nf_conntrack_max\n", n)
	}
	doctortest.Put(t, root, map[string]string{"etc/agent/agent.yaml": text.String()})
	h := doctortest.Take(t, root)
	if n := len(doctortest.Find(t, files.Check(h), "mentioned").Evidence); n != 50 {
		t.Errorf("%d lines are evidence, want 50", n)
	}
	want := finding.Seen("/etc/agent/agent.yaml", 0, "has more than 50 lines that name nf_conntrack")
	if !slices.Contains(h.NotRead, want) {
		t.Errorf("%v was not read, want %v", h.NotRead, want)
	}
}
