//go:build native

package native

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
)

const (
	oldVersion, newVersion = "0.1.0~before", "0.1.0+after"
	// oldSubject is in the catalog, and oldComment in the configuration, of the build before.
	oldSubject, oldComment = "Before: conntrack setting", "# This file is from the build before.\n"
)

// A build is one of the two builds of ctkeeper, each with an archive for apt.
type build struct{ tree, archive string }

// buildsDir is removed when the tests have ended.
var buildsDir string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if buildsDir, err = os.MkdirTemp("", "ctkeeper-builds-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(buildsDir)
		return m.Run()
	}())
}

var buildBoth = sync.OnceValues(func() (builds struct{ before, after build }, err error) {
	const source = "../.."
	builds.before.tree = filepath.Join(buildsDir, "before")
	if builds.before.archive, err = debs.Build(source, builds.before.tree, oldVersion, makeOld); err != nil {
		return builds, err
	}
	builds.after.tree = filepath.Join(buildsDir, "after")
	builds.after.archive, err = debs.Build(source, builds.after.tree, newVersion, nil)
	return builds, err
})

// makeOld changes a tree's catalog and configuration, so that an upgrade replaces both.
func makeOld(tree string) error {
	for _, change := range []struct{ file, old, new string }{
		{"systemd/ctkeeper.catalog", "Subject: Conntrack setting", "Subject: " + oldSubject},
		{"packaging/ctkeeper.yaml", "# The configuration", oldComment + "# The configuration"},
	} {
		file := filepath.Join(tree, change.file)
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		changed := strings.ReplaceAll(string(content), change.old, change.new)
		if changed == string(content) {
			return fmt.Errorf("%s has no %q", change.file, change.old)
		}
		if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func buildBefore(t *testing.T) build {
	t.Helper()
	builds, err := buildBoth()
	if err != nil {
		t.Fatal(err)
	}
	return builds.before
}

func buildAfter(t *testing.T) build {
	t.Helper()
	builds, err := buildBoth()
	if err != nil {
		t.Fatal(err)
	}
	return builds.after
}
