package main

import (
	"flag"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/reference"
)

var update = flag.Bool("update", false, "rewrite the generated files")

// TestReferenceIsCurrent compares docs/reference.md with what the code generates.
func TestReferenceIsCurrent(t *testing.T) {
	const file = "../../docs/reference.md"
	statuses := map[string]map[int]string{}
	for _, cmd := range allCommands() {
		if e := exitsOf(cmd); e != nil {
			statuses[cmd.CommandPath()] = e
		}
	}
	got, err := reference.Generate("../..", statuses)
	if err != nil {
		t.Fatal(err)
	}
	compareFile(t, file, got)
}
