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

// Files with these names describe what a text archive cannot have.
const (
	// links has "PATH -> TARGET" in each line: a symbolic link.
	links = "LINKS"
	// modes has "MODE PATH" in each line: the octal mode of an existing file.
	modes = "MODES"
	// dirs has a path in each line: an empty directory.
	dirs = "DIRS"
	// sysctls has the output of sysctl -a, "net.netfilter.nf_conntrack_max = 65536": a file below /proc/sys each.
	sysctls = "SYSCTLS"
	// verdict has what is right about the host. It is not of the host, and belongs to the test.
	verdict = "VERDICT"
	// modinfo is the end of the name of a file that describes a module: nf_conntrack.ko.xz.modinfo makes
	// nf_conntrack.ko.xz. Its lines become the .modinfo section; those that begin with __param_str_ become symbols
	// (see KO).
	modinfo = ".modinfo"
	// nul is the end of the name of a file whose lines end with NUL: cmdline.nul makes cmdline, as in /proc/PID.
	nul = ".nul"
)

// repeated matches the name of a file whose content is repeated, with {n} as the count from 1:
// nf_conntrack_expect.times-254 makes nf_conntrack_expect.
var repeated = regexp.MustCompile(`^(.*)\.times-([0-9]+)$`)

// Unpack writes a host's files from a txtar archive below root. Files of the archive named LINKS, MODES, DIRS,
// SYSCTLS and MACHINE, and names that end in .modinfo, .nul and .times-N, describe what a text archive cannot have.
func Unpack(t testing.TB, root, archive string) {
	t.Helper()
	parsed, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Files) == 0 {
		t.Fatalf("%s has no files", archive)
	}
	UnpackFiles(t, root, parsed.Files)
}

// UnpackFiles is Unpack for the files of an archive.
func UnpackFiles(t testing.TB, root string, files []txtar.File) {
	t.Helper()
	special := map[string]string{}
	for _, file := range files {
		switch file.Name {
		case links, modes, dirs, sysctls, machine, verdict:
			special[file.Name] = string(file.Data)
		}
	}
	// Links first, because files may be below them; then the machine, because the host's files may replace some of
	// its files. Modes last, because one may make a directory read-only.
	for _, line := range lines(special[links]) {
		symlink(t, root, line)
	}
	if text, is := special[machine]; is {
		buildMachine(t, root, text)
	}
	for _, file := range files {
		if _, is := special[file.Name]; !is {
			unpack(t, root, file)
		}
	}
	for _, line := range lines(special[sysctls]) {
		key, value, ok := strings.Cut(line, " = ")
		if !ok {
			t.Fatalf("%s: invalid line %q", sysctls, line)
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
	if name, hasNUL := strings.CutSuffix(file.Name, nul); hasNUL {
		Put(t, root, name, strings.ReplaceAll(content, "\n", "\x00"))
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
		t.Fatalf("%s: invalid line %q", links, line)
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
		t.Fatalf("%s: invalid line %q", modes, line)
	}
	if err := os.Chmod(filepath.Join(root, path), fs.FileMode(mode)); err != nil {
		t.Fatal(err)
	}
}

// lines returns the lines of a text that are neither empty nor comments.
func lines(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}
