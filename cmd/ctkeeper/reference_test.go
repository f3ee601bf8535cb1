package main

import (
	"flag"
	"io"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/internal/reference"
)

var update = flag.Bool("update", false, "rewrite docs/reference.md")

// TestReferenceIsCurrent compares docs/reference.md with what the code generates.
func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/reference.md"
	a := &app{stdout: io.Discard, stderr: io.Discard}
	statuses := map[string]map[int]string{}
	var collect func(*cobra.Command)
	collect = func(cmd *cobra.Command) {
		if e := exitsOf(cmd); e != nil && !cmd.Hidden {
			statuses[cmd.CommandPath()] = e
		}
		for _, child := range cmd.Commands() {
			collect(child)
		}
	}
	collect(a.command())
	got, err := reference.Generate("../..", statuses)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/reference.md (-want +got): run make generate\n%s", diff)
	}
}
