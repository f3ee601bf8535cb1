package kerneltree

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// What a text archive cannot carry stands in files of these names.
const (
	// links has "PATH -> TARGET" a line: a symbolic link.
	links = "LINKS"
	// modes has "MODE PATH" a line: an octal mode, for a file that is there.
	modes = "MODES"
	// dirs has a path a line: a directory with nothing in it.
	dirs = "DIRS"
	// sysctls is what sysctl -a prints, "net.netfilter.nf_conntrack_max = 65536": a
	// file below /proc/sys each.
	sysctls = "SYSCTLS"
	// modinfo ends the name of a file whose lines become the .modinfo section of a
	// module, and those that begin with __param_str_ symbols of it, see KO:
	// nf_conntrack.ko.xz.modinfo makes nf_conntrack.ko.xz.
	modinfo = ".modinfo"
)

// repeated ends the name of a file whose content is there many times over, with
// {n} counting from 1: nf_conntrack_expect.times-254 makes nf_conntrack_expect.
var repeated = regexp.MustCompile(`^(.*)\.times-([0-9]+)$`)

// Unpack writes a host's files from a txtar archive below root. Names of the
// archive that are in capitals stand for what text cannot carry: LINKS, MODES, DIRS and
// SYSCTLS; so do names that end in .modinfo and .times-N.
func Unpack(t testing.TB, root, archive string) {
	t.Helper()
	parsed, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Files) == 0 {
		t.Fatalf("%s has no files", archive)
	}
	special := map[string]string{}
	for _, file := range parsed.Files {
		switch file.Name {
		case links, modes, dirs, sysctls:
			special[file.Name] = string(file.Data)
		}
	}
	// Links first: files may lie behind them. Modes last: one may lock a directory.
	for _, line := range lines(special[links]) {
		symlink(t, root, line)
	}
	for _, file := range parsed.Files {
		if _, is := special[file.Name]; !is {
			unpack(t, root, file)
		}
	}
	for _, line := range lines(special[sysctls]) {
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("%s: %s: no sysctl: %q", archive, sysctls, line)
		}
		Put(t, root, "proc/sys/"+strings.ReplaceAll(key, ".", "/"), value+"\n")
	}
	for _, dir := range lines(special[dirs]) {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range lines(special[modes]) {
		chmod(t, root, line)
	}
}

func unpack(t testing.TB, root string, file txtar.File) {
	t.Helper()
	content := string(file.Data)
	if name, isModule := strings.CutSuffix(file.Name, modinfo); isModule && strings.Contains(name, ".ko") {
		packed := Pack(t, KO(lines(content)...), filepath.Ext(name))
		Put(t, root, name, string(packed))
		return
	}
	if match := repeated.FindStringSubmatch(file.Name); match != nil {
		times, err := strconv.Atoi(match[2])
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for n := range times {
			all.WriteString(strings.ReplaceAll(content, "{n}", strconv.Itoa(n+1)))
		}
		Put(t, root, match[1], all.String())
		return
	}
	Put(t, root, file.Name, content)
}

func symlink(t testing.TB, root, line string) {
	t.Helper()
	path, target, ok := strings.Cut(line, " -> ")
	if !ok {
		t.Fatalf("%s: no link: %q", links, line)
	}
	full := filepath.Join(root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

func chmod(t testing.TB, root, line string) {
	t.Helper()
	octal, path, ok := strings.Cut(line, " ")
	mode, err := strconv.ParseUint(octal, 8, 32)
	if !ok || err != nil {
		t.Fatalf("%s: no mode and path: %q", modes, line)
	}
	if err := os.Chmod(filepath.Join(root, path), fs.FileMode(mode)); err != nil {
		t.Fatal(err)
	}
}

// lines are those of a text that say something.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}
