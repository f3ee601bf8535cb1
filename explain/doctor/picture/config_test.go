package picture_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/internal/doctortest"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

func TestNotRead(t *testing.T) {
	root := doctortest.ModuleTree(t)
	for _, name := range []string{"proc/modules", "var/log/kern.log"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	var places []string
	for _, e := range doctortest.Take(t, root).NotRead {
		if e.Text == "" {
			t.Errorf("%s: no reason", e.Place)
		}
		places = append(places, e.File)
	}
	for _, want := range []string{"/proc/modules", "kernel log"} {
		if !slices.Contains(places, want) {
			t.Errorf("%s is missing in NotRead: %q", want, places)
		}
	}
}

// A refused configuration has no known wants.
func TestWantsOfConfiguration(t *testing.T) {
	root := doctortest.ModuleTree(t)
	doctortest.Put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: 70000}\nmodule: " +
		"{parameters: {hashsize: 4096}}\n"})
	h := doctortest.Take(t, root)
	if w, ok := h.Want("max"); !ok || w.Value != sysfs.Number(70000) {
		t.Errorf("max is %s, %t", w.Value, ok)
	}
	if p, ok := h.Parameter("hashsize"); !ok || p.Value != "4096" {
		t.Errorf("hashsize is %q, %t", p.Value, ok)
	}
	doctortest.Put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": "settings: {max: lots}\n"})
	h = doctortest.Take(t, root)
	_, max := h.Want("max")
	_, hashsize := h.Parameter("hashsize")
	if max || hashsize || h.ConfigErr == nil {
		t.Errorf("a refused configuration wants something: %t %t %v", max, hashsize, h.ConfigErr)
	}
}

// On a disk the memory that "auto" is sized for is unknown. That is not an error of the configuration, and hides
// none of its errors.
func TestConfigurationOfADisk(t *testing.T) {
	for text, want := range map[string]struct{ known, refused, notRead bool }{
		"settings: {max: 70000, hashsize: 70000}\n": {known: true},
		"settings: {max: auto}\n":                   {notRead: true},
		"settings: {max: lots}\n":                   {refused: true},
		"settings: {max: auto, acct: lots}\n":       {refused: true},
	} {
		root := t.TempDir()
		doctortest.Put(t, root, map[string]string{"etc/ctkeeper/ctkeeper.yaml": text})
		h := doctortest.Take(t, root)
		notRead := slices.ContainsFunc(h.NotRead, func(e finding.Evidence) bool { return e.File == "configuration" })
		if known, refused := h.Config != nil, h.ConfigErr != nil; known != want.known || refused != want.refused ||
			notRead != want.notRead {
			t.Errorf("%s: known %t, refused %t, not read %t; want %+v", text, known, refused, notRead, want)
		}
	}
}
