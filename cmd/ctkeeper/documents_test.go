package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/ctkeeper/ctkeeper/internal/document"
)

const top = "../.."

// readDocuments reads the documents of the repository.
func readDocuments(t *testing.T) []*document.Document {
	t.Helper()
	files, err := document.Find(top)
	if err != nil {
		t.Fatal(err)
	}
	var found []*document.Document
	for _, file := range append(files, top+"/CONTRIBUTING.md", top+"/CHANGELOG.md") {
		d, err := document.Read(file)
		if err != nil {
			t.Error(err)
			continue
		}
		found = append(found, d)
	}
	return found
}

func TestDocumentsHaveNoBrokenLinks(t *testing.T) {
	for _, d := range readDocuments(t) {
		broken, err := d.BrokenLinks()
		if err != nil {
			t.Error(err)
		}
		for _, link := range broken {
			t.Errorf("%s:%d: no such file or anchor: %s", d.File, link.Line, link.Text)
		}
	}
}

// startsCommand matches a line that a person would paste into a shell.
var startsCommand = regexp.MustCompile(`^\s*([$#] |(sudo|ctkeeper|systemctl|journalctl|sysctl|modprobe|conntrack|nft|` +
	`iptables|apt|apt-get|dnf|apk|pacman|curl|make|install|cp|rm|echo|sed|git) )`)

// TestDocumentsAreRun: a block with commands has the info string console, so that a test runs it, or says why not.
func TestDocumentsAreRun(t *testing.T) {
	ran := 0
	for _, d := range readDocuments(t) {
		if d.File == top+"/CONTRIBUTING.md" {
			continue
		}
		for _, b := range d.Blocks {
			switch {
			case b.Info == "" || b.Info == "sh" || b.Info == "bash" || b.Info == "shell":
				t.Errorf("%s:%d: the info string must be console, text or the name of a language", d.File, b.Line)
			case b.Info == "console" && b.NotRun != "":
				t.Logf("%s:%d: not run: %s", d.File, b.Line, b.NotRun)
			case b.Info == "console":
				ran += len(b.Steps)
			case b.Info == "text" && slices.ContainsFunc(b.Lines, startsCommand.MatchString):
				t.Errorf("%s:%d: commands belong in a console block", d.File, b.Line)
			}
		}
	}
	t.Logf("%d commands are run", ran)
	if ran == 0 {
		t.Error("no command is run")
	}
}

// mentioned matches a command line of ctkeeper, up to what does not belong to it.
var mentioned = regexp.MustCompile("(?m)(?:^|[|;&(`'\"] *|sudo )ctkeeper((?: +(?:[^\\s|;&<>()`'\"#$]|\\b\\|\\b)+)+)")

// TestDocumentsNameCommands: the inline code and the blocks of the documents name commands and flags that exist.
func TestDocumentsNameCommands(t *testing.T) {
	root := (&app{stdout: io.Discard, stderr: io.Discard}).command()
	checked := 0
	check := func(where, text string) {
		for _, found := range mentioned.FindAllStringSubmatch(text, -1) {
			checked++
			if err := checkCommand(root, strings.Fields(found[1])); err != nil {
				t.Errorf("%s: %s: %v", where, text, err)
			}
		}
	}
	for _, d := range readDocuments(t) {
		if d.File == top+"/CHANGELOG.md" {
			continue // of older versions
		}
		for _, code := range d.Code() {
			if strings.HasPrefix(code.Text, "ctkeeper ") {
				check(fmt.Sprintf("%s:%d", d.File, code.Line), code.Text)
			}
		}
		for _, b := range d.Blocks {
			for _, s := range b.Steps {
				check(fmt.Sprintf("%s:%d", d.File, s.Line), s.Command)
			}
		}
	}
	if checked == 0 {
		t.Error("no command was found")
	}
}

// checkCommand parses a command line that a document shows. Words in capitals and "…" stand for a value, "a|b" and
// "a, b" for one of several words, brackets for what can be left out.
func checkCommand(root *cobra.Command, words []string) error {
	for i, word := range words {
		words[i] = strings.Trim(word, "[],.:")
		if options := strings.Split(words[i], "|"); len(options) > 1 {
			var errs []error
			for _, option := range options {
				errs = append(errs, checkCommand(root, slices.Concat(words[:i], []string{option}, words[i+1:])))
			}
			return errors.Join(errs...)
		}
	}
	cmd, args, err := root.Find(words)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, set := range []*pflag.FlagSet{cmd.LocalFlags(), cmd.InheritedFlags()} {
		set.VisitAll(func(flag *pflag.Flag) {
			copied := *flag
			copied.Value = anyValue{flag.Value}
			flags.AddFlag(&copied)
		})
	}
	if err := flags.Parse(args); err != nil && !errors.Is(err, pflag.ErrHelp) && !isWithoutValue(err) {
		return err
	}
	if cmd.HasSubCommands() && flags.NArg() > 0 {
		return fmt.Errorf("unknown command %q", flags.Arg(0))
	}
	if flags.NArg() == 0 { // a text may only name the command
		return nil
	}
	return cmd.ValidateArgs(flags.Args())
}

// anyValue is a flag's value that accepts everything, and keeps nothing.
type anyValue struct{ pflag.Value }

func (anyValue) Set(string) error { return nil }

// isWithoutValue reports whether a flag lacks its value, as where a text only names the flag.
func isWithoutValue(err error) bool {
	_, is := errors.AsType[*pflag.ValueRequiredError](err)
	return is
}

// TestMessagesNameCommands: what the programs print and the units say names commands and flags that exist. A word after
// "ctkeeper" that is no command is prose, unless a flag follows it.
func TestMessagesNameCommands(t *testing.T) {
	root := (&app{stdout: io.Discard, stderr: io.Discard}).command()
	pattern := regexp.MustCompile(`\bctkeeper ([a-z]+)((?: [a-z]+)?(?: --?[a-z][a-z-]*)*)`)
	checked := 0
	for _, file := range messageFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range pattern.FindAllStringSubmatch(string(text), -1) {
			words := append(found[1:2], strings.Fields(found[2])...)
			cmd, _, err := root.Find(words[:1])
			if isProse := err != nil || cmd == root; isProse && !strings.Contains(found[2], " -") {
				continue
			}
			if err == nil && !cmd.HasSubCommands() && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
				words = words[:1] // prose follows the command
			}
			if err := checkCommand(root, words); err != nil {
				t.Errorf("%s: %s: %v", file, found[0], err)
			}
			checked++
		}
	}
	if checked == 0 {
		t.Error("no command was found")
	}
}

// messageFiles returns the files with messages and with texts for people.
func messageFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(top, func(file string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(top, file)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == "e2e" || name == "dist" || name == ".git" || entry.Name() == "testdata"):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"),
			strings.HasPrefix(name, "systemd/"), strings.HasPrefix(name, "internal/reference/"),
			strings.HasPrefix(name, "packaging/prometheus/"), strings.HasPrefix(name, "config/"):
			if !entry.IsDir() {
				files = append(files, file)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
