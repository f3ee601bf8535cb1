package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Directories that are only passed through are not watched: / and /etc are
// written for reasons of their own, and each write would wake the daemon.
func TestPlanLeavesBusyDirectoriesAlone(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc/ctkeeper/conf.d", "run/ctkeeper", "usr/lib/ctkeeper"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	paths := Source{Root: root}.plan().paths
	for _, busy := range []string{"", "etc", "run", "usr", "usr/lib"} {
		if slices.Contains(paths, filepath.Join(root, busy)) {
			t.Errorf("/%s is watched, among %q", busy, paths)
		}
	}
	for _, ours := range []string{"etc/ctkeeper", "etc/ctkeeper/conf.d", "run/ctkeeper", "usr/lib/ctkeeper"} {
		if !slices.Contains(paths, filepath.Join(root, ours)) {
			t.Errorf("/%s is not watched, among %q", ours, paths)
		}
	}
}
