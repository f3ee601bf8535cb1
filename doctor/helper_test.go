package doctor

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/tree"
)

// release is the kernel of the hosts that tests make.
const release = "6.1.0-18-amd64"

// picture takes the picture of the host below root.
func picture(t *testing.T, root string) *Host {
	t.Helper()
	return look(t.Context(), tree.At(root), Options{Root: root, Source: config.Source{Root: root}, Running: running})
}

// running is a daemon that answers.
func running(context.Context) bool { return true }

// put writes files below a root, by their paths without the first slash.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		kerneltree.Put(t, root, name, content)
	}
}

// ids are those of findings, in their order.
func ids(findings []Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.ID)
	}
	return all
}

// find gives the finding of an id; the test fails where there is none.
func find(t *testing.T, findings []Finding, id string) Finding {
	t.Helper()
	i := slices.IndexFunc(findings, func(f Finding) bool { return f.ID == id })
	if i < 0 {
		t.Fatalf("no finding %s among %q", id, ids(findings))
	}
	return findings[i]
}

// wants holds findings against those that are wanted; nil and empty lists are the
// same.
func wants(t *testing.T, got, want []Finding) {
	t.Helper()
	plain := func(list []Finding) []Finding {
		var out []Finding
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
