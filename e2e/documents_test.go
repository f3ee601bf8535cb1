//go:build e2e

package e2e

import (
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
	"github.com/ctkeeper/ctkeeper/e2e/rig"
	"github.com/ctkeeper/ctkeeper/internal/document"
)

var (
	update = flag.Bool("update", false, "rewrite the outputs in the documents")
	only   = flag.String("documents", "", "run only the documents whose path matches this `PATTERN`")
)

// TestDocuments runs the commands of every document with the host vm, in a machine without ctkeeper, but with its
// packages in the directory of the documents.
func TestDocuments(t *testing.T) {
	if isExcluded("TestDocuments") {
		t.Skip("CTKEEPER_E2E_RUN does not match TestDocuments")
	}
	runBesideOthers(t)
	machine, err := rig.Prepare(kernelName(), packageRoot)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, helpers := filepath.Join(dir, "scenarios"), filepath.Join(dir, "helpers")
	buildScenarios(t, "guest,documents", program)
	if err := rig.BuildHelpers("helpers", helpers); err != nil {
		t.Fatal(err)
	}
	packages, err := debs.Build("..", filepath.Join(dir, "tree"), "0.1.0", nil)
	if err != nil {
		t.Fatal(err)
	}
	outcome := tryBootFor(t, machine, rig.Guest{
		Trees: map[string]string{
			helpers: rig.GuestDir, packages: rig.Documents + "/dist", machine.Kernel.Archive: rig.ArchiveDir,
		},
		Files:   vmDocuments(t),
		Program: program,
	}, "TestDocuments")
	if *update {
		rewriteDocuments(t, outcome.Log)
	}
}

// vmDocuments returns the documents of the host vm, by their paths in the guest.
func vmDocuments(t *testing.T) map[string]string {
	t.Helper()
	files, err := document.Find("..")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		d, err := document.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		if matches, err := regexp.MatchString(*only, file); err != nil {
			t.Fatal(err)
		} else if matches && d.Host == "vm" {
			found[filepath.Join(rig.Documents, strings.TrimPrefix(file, ".."))] = d.Text()
		}
	}
	return found
}

// rewriteDocuments writes the documents that the guest has logged.
func rewriteDocuments(t *testing.T, log []string) {
	t.Helper()
	for _, line := range log {
		_, updated, found := strings.Cut(line, rig.UpdatedMark)
		if !found {
			continue
		}
		file, encoded, _ := strings.Cut(strings.TrimSpace(updated), " ")
		text, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("..", file), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
