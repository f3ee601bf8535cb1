package persist_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/persist"
)

// TestAtLoad: the parameters are those of the modprobe.d file; what is not in it has a note.
func TestAtLoad(t *testing.T) {
	root := debian(t, usual)
	putModuleFile(t, root)
	cfg, err := config.Source{Root: root}.Load()
	if err != nil {
		t.Fatal(err)
	}
	got, notes := persist.AtLoad(tree.At(root), cfg)
	want := []config.Parameter{
		{Name: "hashsize", Value: "100000"}, {Name: "expect_hashsize", Value: "2048"}, {Name: "acct", Value: "1"},
		{Name: "tstamp", Value: "0"}, {Name: "nf_conntrack_helper", Value: "0"},
	}
	if diff := cmp.Diff(want, got); diff != "" || len(notes) > 0 {
		t.Errorf("notes %q, (-want +got):\n%s", notes, diff)
	}
	root = debian(t, "") // without the module's file
	cfg.Wants = nil
	cfg.Module.Parameters = []config.Parameter{
		{Name: "enable_hooks", Value: "1"}, {Name: "hashsize", Value: "536870912"},
	}
	got, notes = persist.AtLoad(tree.At(root), cfg)
	if text := strings.Join(notes, "\n"); len(got) > 0 || !strings.Contains(text, "enable_hooks left out") ||
		!strings.Contains(text, "cannot write hashsize=536870912") {
		t.Errorf("%v\n%s", got, text)
	}
}
