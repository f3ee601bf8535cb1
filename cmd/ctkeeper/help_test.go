package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// compareFile compares what was generated with a file, which -update rewrites.
func compareFile(t *testing.T, file, got string) {
	t.Helper()
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
		t.Errorf("%s (-want +got): run make texts\n%s", file, diff)
	}
}

// TestHelpIsCurrent compares the help of every command with its file, and has no line that a terminal breaks.
func TestHelpIsCurrent(t *testing.T) {
	const dir = "testdata/help"
	files := map[string]bool{}
	for _, cmd := range allCommands() {
		words := strings.Fields(cmd.CommandPath())
		got := ctkeeper(t.Context(), append(words[1:], "--help")...)
		if by := ctkeeper(t.Context(), append([]string{"help"}, words[1:]...)...); by != got || got.status != 0 ||
			got.stderr != "" {
			t.Errorf("help of %q: %+v, by help: %+v", words, got, by)
		}
		file := filepath.Join(dir, strings.Join(words, "-")+".txt")
		files[file] = true
		compareFile(t, file, got.stdout)
		for line := range strings.Lines(got.stdout) {
			if utf8.RuneCountInString(strings.TrimSpace(line)) > helpWidth {
				t.Errorf("%s: a line has more than %d columns: %s", file, helpWidth, line)
			}
		}
	}
	all, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		if !files[file] {
			t.Errorf("%s is the help of no command", file)
		}
	}
}

// TestExamples parses the examples of every help: the commands and flags exist.
func TestExamples(t *testing.T) {
	for _, cmd := range allCommands() {
		if cmd.Example == "" && cmd.Runnable() && !cmd.HasSubCommands() {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(strings.ReplaceAll(cmd.Example, " && ", "\n"), "\n") {
			_, command, found := strings.Cut(line, "ctkeeper ")
			if !found {
				continue
			}
			for _, end := range []string{"  # ", " >", " |", ")"} {
				command, _, _ = strings.Cut(command, end)
			}
			root := (&app{stdout: io.Discard, stderr: io.Discard}).command()
			child, rest, err := root.Find(strings.Fields(command))
			if err == nil {
				err = child.ParseFlags(rest)
			}
			if err == nil {
				err = child.ValidateArgs(child.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s: example %q: %v", cmd.CommandPath(), line, err)
			}
		}
	}
}

// allCommands returns the commands that users see.
func allCommands() []*cobra.Command {
	return commands((&app{stdout: io.Discard, stderr: io.Discard}).command())
}

// commands returns a command and those below it, without hidden ones.
func commands(cmd *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		if !child.Hidden {
			all = append(all, commands(child)...)
		}
	}
	return all
}
