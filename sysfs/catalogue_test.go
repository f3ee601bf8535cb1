package sysfs_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

const conntrackFiles = "/proc/sys/net/netfilter/nf_conntrack_*"

func TestCatalogueIsSound(t *testing.T) {
	kinds := []sysfs.Kind{sysfs.Count, sysfs.Bool, sysfs.Seconds, sysfs.Bytes}
	names, files := map[string]bool{}, map[string]bool{}
	for _, s := range sysfs.Catalogue() {
		for _, name := range []string{s.Name, s.Alias} {
			if name != "" && names[name] {
				t.Errorf("the name %s is taken twice", name)
			}
			names[name] = true
		}
		if files[s.File()] {
			t.Errorf("%s: its file is taken twice", s.Name)
		}
		files[s.File()] = true
		if !strings.HasPrefix(s.File(), "proc/sys/net/netfilter/nf_conntrack_") {
			t.Errorf("%s: its file is %s", s.Name, s.File())
		}
		if !slices.Contains(kinds, s.Kind) {
			t.Errorf("%s: kind %q", s.Name, s.Kind)
		}
		if s.Min < 0 || s.Min > s.Max || s.Max == 0 {
			t.Errorf("%s: range %d to %d", s.Name, s.Min, s.Max)
		}
		if s.Kind == sysfs.Bool && (s.Min != 0 || s.Max != 1) {
			t.Errorf("%s: a switch with range %d to %d", s.Name, s.Min, s.Max)
		}
		if len(s.Doc) < len("A doc.") || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s: its doc is not a sentence: %q", s.Name, s.Doc)
		}
		if s.Ceiling != "" && !names[s.Ceiling] {
			t.Errorf("%s: its ceiling %s does not stand before it", s.Name, s.Ceiling)
		}
	}
}

func TestLookupFindsAllOfTheCatalogue(t *testing.T) {
	for _, s := range sysfs.Catalogue() {
		kernels := strings.TrimPrefix(s.Sysctl(), "net.netfilter.")
		for _, name := range []string{s.Name, kernels, s.Sysctl(), strings.ReplaceAll(s.Sysctl(), ".", "/")} {
			if got := sysfs.Lookup(name); got != s {
				t.Errorf("Lookup(%q) is %v, want the setting %s", name, got, s.Name)
			}
		}
	}
}

func TestCatalogueIsACopy(t *testing.T) {
	sysfs.Catalogue()[0] = nil
	if sysfs.Catalogue()[0] == nil {
		t.Error("a caller can change the catalogue")
	}
}

// Only looks: mode bits and names of this machine's own files.
func TestCatalogueHasAllThatThisKernelLetsWrite(t *testing.T) {
	paths, err := filepath.Glob(conntrackFiles)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		netns.Cannot(t, "this kernel has no nf_conntrack, or it is not loaded")
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		s := sysfs.Lookup(name)
		switch writable := info.Mode().Perm()&0o200 != 0; {
		case writable && (s == nil || s.Kind == sysfs.Text):
			t.Errorf("%s can be written, and the catalogue does not have it", name)
		case !writable && s == nil && !sysfs.ReadOnly(name):
			t.Errorf("%s cannot be written, and ReadOnly does not list it", name)
		}
	}
}
