package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode"
)

// loadError returns the error of the files below root, whose Errors are checked against the limit.
func loadError(t *testing.T, root string) string {
	t.Helper()
	_, err := Source{Root: root}.Load()
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatalf("no errors: %v", err)
	}
	if most := maxErrors + 10; len(errs) > most {
		t.Errorf("%d errors are kept, want at most %d", len(errs), most)
	}
	return strings.ReplaceAll(err.Error(), root, "")
}

// keys returns count unknown keys, one a line.
func keys(count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "  k%04d:\n", i)
	}
	return b.String()
}

// TestErrorsAreLimited has files with more errors than anybody reads.
func TestErrorsAreLimited(t *testing.T) {
	text := loadError(t, host(t, map[string]string{DefaultMain: "settings:\n" + keys(7000)}))
	if want := "\n" + DefaultMain + ": 6950 more errors"; !strings.HasSuffix(text, want) || len(text) > 10_000 {
		t.Errorf("the errors take %d bytes and end in %q, want %q", len(text), text[len(text)-60:], want)
	}
	files := map[string]string{}
	for i := range 5 {
		files[fmt.Sprint(etcDir, i, ".yaml")] = "settings:\n" + keys(1000)
	}
	text = loadError(t, host(t, files))
	if want := "\n3000 more errors in other files"; !strings.HasSuffix(text, want) || len(text) > 20_000 {
		t.Errorf("the errors take %d bytes and end in %q, want %q", len(text), text[len(text)-60:], want)
	}
}

// TestFilesAreLimited has more, and larger, files than are read.
func TestFilesAreLimited(t *testing.T) {
	comment := "#" + strings.Repeat("x", maxFileSize-1)
	full := map[string]string{etcDir + "9.yaml": "#"}
	for i := range maxTotalSize / maxFileSize {
		full[fmt.Sprint(etcDir, i, ".yaml")] = comment
	}
	many, crowd := map[string]string{}, map[string]string{}
	for i := range maxDropins + 1 {
		many[fmt.Sprint(etcDir, i, ".yaml")] = ""
	}
	for i := range maxEntries + 1 {
		crowd[fmt.Sprint(etcDir, i)] = ""
	}
	var settings strings.Builder
	for i := range maxWants + 1 {
		fmt.Fprintf(&settings, "  net.netfilter.x%d: 1\n", i)
	}
	dir := strings.TrimSuffix(etcDir, "/")
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"together": {full, etcDir + "9.yaml: is too much: the configuration's files are too large " +
			"(up to 256 KiB together)"},
		"dropins": {many, dir + ": has too many drop-ins (up to 256 in all directories)"},
		"entries": {crowd, dir + ": has too many entries (up to 4096)"},
		"settings": {map[string]string{DefaultMain: "settings:\n" + settings.String()},
			"settings: has 257 settings (up to 256)"},
	} {
		t.Run(name, func(t *testing.T) { diff(t, "errors", test.want, loadError(t, host(t, test.files))) })
	}
	delete(full, etcDir+"9.yaml")
	load(t, host(t, full))
}

// TestAliasesAreNotExpanded has a document of a few hundred bytes that is 10^9 values long when every alias
// is replaced by its value.
func TestAliasesAreNotExpanded(t *testing.T) {
	text := "settings:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 8 {
		text += fmt.Sprintf("  a%d: &a%d [%s*a%d]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	text += "  max: *a8\nguard: {allow: *a8}\n"
	root := host(t, map[string]string{DefaultMain: text})
	before := allocated()
	got := loadError(t, root)
	if took := allocated() - before; took > 4<<20 {
		t.Errorf("loading %d bytes allocates %d bytes", len(text), took)
	}
	if !strings.Contains(got, "settings.max: is a list") {
		t.Errorf("the errors are %s", got)
	}
}

// TestRepeatedErrorsAreLimited has 4000 unknown keys that 500 settings repeat.
func TestRepeatedErrorsAreLimited(t *testing.T) {
	var text strings.Builder
	text.WriteString("settings:\n  max: &a {k: 1")
	for i := range 4000 {
		fmt.Fprintf(&text, ", k%d: 1", i)
	}
	text.WriteString("}\n")
	for i := range 500 {
		fmt.Fprintf(&text, "  net.netfilter.x%d: *a\n", i)
	}
	got := loadError(t, host(t, map[string]string{DefaultMain: text.String()}))
	if want := fmt.Sprintf("%d more errors", maxCounted-maxFileErrors); !strings.HasSuffix(got, want) {
		t.Errorf("the errors end in %q, want %q", got[max(0, len(got)-60):], want)
	}
}

// TestMemoryIsLimited loads the file of the allowed size that takes the most memory: short keys.
func TestMemoryIsLimited(t *testing.T) {
	text := "settings:\n" + keys(8000)
	root := host(t, map[string]string{DefaultMain: text[:maxFileSize]})
	before := allocated()
	loadError(t, root)
	if took := allocated() - before; took > 32<<20 {
		t.Errorf("loading a file of %d bytes allocates %d bytes", maxFileSize, took)
	}
}

// allocated returns the bytes that were allocated so far, freed ones included.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// TestKernelFilesAreRefused has links to files of which a read can wait for ever: a regular file by its
// mode, of a file system that is none.
func TestKernelFilesAreRefused(t *testing.T) {
	for file, name := range map[string]string{"/proc/version": "procfs", "/sys/kernel/uevent_seqnum": "sysfs"} {
		link := filepath.Join(t.TempDir(), "link.yaml")
		if err := os.Symlink(file, link); err != nil {
			t.Fatal(err)
		}
		_, err := Source{Main: link, MainRequired: true}.Load()
		if err == nil || !strings.Contains(err.Error(), link+": is a file of the kernel ("+name+")") {
			t.Errorf("a link to %s: %v", file, err)
		}
	}
}

// TestNamesAreSafeForATerminal has a drop-in whose name a terminal would interpret.
func TestNamesAreSafeForATerminal(t *testing.T) {
	name := etcDir + "a\x1b]0;owned\x07\u202e.yaml"
	text := loadError(t, host(t, map[string]string{name: "max: 1"}))
	if !strings.HasPrefix(text, etcDir+`a\x1b]0;owned\a\u202e.yaml:1:1: max: unknown key`) {
		t.Errorf("the error is %q", text)
	}
	c := load(t, host(t, map[string]string{name: "", strings.Replace(name, "yaml", "yml", 1): "", DefaultMain: ""}))
	if len(c.Warnings) == 0 || strings.ContainsFunc(strings.Join(c.Warnings, ""), unicode.IsControl) {
		t.Errorf("the warnings are %q", c.Warnings)
	}
}
