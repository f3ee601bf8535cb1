package doctor_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// marker is the program that the hostile texts try to run.
const marker = "zzpwn"

// hostileTexts are put into the files of a host.
func hostileTexts() []string {
	all := []string{
		";%", "$(%)", "`%`", "|%", "&&%&", "'; %; '", `"; %; "`, "\\\n%", "\r%\r", "\x1b[31m%\x1b]0;t\a",
		"\u202e%\u200b\u2066", "\x00%", "\xff\xfe%", "\u2028%\u0085", "99999999999999999999999999", "-1", "0x10", "1e9",
		"NaN", "{{%}}", "&a [*a,*a]", strings.Repeat("[", 3000), strings.Repeat("{a: ", 3000),
		strings.Repeat("a", 70_000), "${%:=$(%)}", "<(%)", "# %", ": %", "--%", "../../%", "\n%\n", " ", "=", "\t\v\f",
	}
	for i, text := range all {
		all[i] = strings.ReplaceAll(text, "%", marker)
	}
	return all
}

var numbers = regexp.MustCompile(`[0-9]+`)

// mutations are the ways to put a hostile text into a file.
func mutations() []func(content, bad string) string {
	eachLine := func(change func(line, bad string) string) func(string, string) string {
		return func(content, bad string) string {
			lines := strings.Split(content, "\n")
			for i, line := range lines {
				if line != "" {
					lines[i] = change(line, bad)
				}
			}
			return strings.Join(lines, "\n")
		}
	}
	return []func(content, bad string) string{
		eachLine(func(line, bad string) string { return line + bad }),
		eachLine(func(line, bad string) string { return numbers.ReplaceAllLiteralString(line, bad) }),
		eachLine(func(line, bad string) string { return strings.Replace(line, " ", " "+bad+" ", 1) }),
		eachLine(func(line, bad string) string { return strings.ReplaceAll(line, "conntrack", "conntrack"+bad) }),
		eachLine(func(line, bad string) string { return bad + line }),
		eachLine(func(line, bad string) string { return line + "\n" + line + bad }),
		func(_, bad string) string { return strings.Repeat(bad+"\n", 20) },
	}
}

// TestHostileFiles puts hostile texts into all files of each host, another text and another way each time.
// Whatever the files say, what is printed runs nothing, moves no cursor, and comes soon.
func TestHostileFiles(t *testing.T) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no hosts: %v", err)
	}
	texts, ways := hostileTexts(), mutations()
	const share = 6 // every sixth host: FuzzFile has all of them
	for i, archive := range archives {
		if i%share != 0 {
			continue
		}
		root := t.TempDir()
		kerneltree.Unpack(t, root, archive)
		n := 0
		spoil(t, root, func(content string) string {
			n++
			return ways[(i+n)%len(ways)](content, texts[(7*i+n)%len(texts)])
		})
		checkOutputs(t, archive, root)
	}
}

// TestHostileNames has files whose names are hostile.
func TestHostileNames(t *testing.T) {
	for _, bad := range hostileTexts() {
		if len(bad) > 200 || strings.ContainsAny(bad, "\x00/") {
			continue
		}
		root := t.TempDir()
		kerneltree.Unpack(t, root, "testdata/hosts/debian12.txtar")
		for _, file := range []string{
			"etc/sysctl.d/50-%.conf", "etc/modprobe.d/%.conf", "etc/modules-load.d/%.conf", "etc/udev/rules.d/%.rules",
			"etc/cron.d/%", "etc/systemd/system/%.service", "etc/agent/%.yaml", "etc/NetworkManager/dispatcher.d/%",
		} {
			kerneltree.Put(t, root, strings.ReplaceAll(file, "%", bad), "net.netfilter.nf_conntrack_max = 1\n"+
				"options nf_conntrack hashsize=1\nblacklist nf_conntrack\nnonsense\n@reboot root sysctl -w "+
				"net.netfilter.nf_conntrack_max=9\n[Service]\nExecStart=/sbin/sysctl -w "+
				"net.netfilter.nf_conntrack_max=7\n")
		}
		checkOutputs(t, "a name with "+bad, root)
	}
}

// FuzzFile replaces a part of one file of a host.
func FuzzFile(f *testing.F) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		f.Fatalf("no hosts: %v", err)
	}
	for i, bad := range hostileTexts() {
		f.Add(uint16(i), uint16(3*i), uint8(i), []byte(bad))
	}
	ways := mutations()
	f.Fuzz(func(t *testing.T, host, file uint16, way uint8, bad []byte) {
		root := t.TempDir()
		archive := archives[int(host)%len(archives)]
		kerneltree.Unpack(t, root, archive)
		n := 0
		files := spoil(t, root, func(content string) string { return content })
		spoil(t, root, func(content string) string {
			if n++; n-1 != int(file)%files {
				return content
			}
			return ways[int(way)%len(ways)](content, string(bad))
		})
		checkOutputs(t, archive, root)
	})
}

// spoil changes the content of every text file of a host, in a fixed order, and returns how many there are.
func spoil(t *testing.T, root string, change func(string) string) int {
	t.Helper()
	count := 0
	must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || strings.Contains(path, ".ko") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		count++
		if changed := change(string(content)); changed != string(content) {
			return os.WriteFile(path, []byte(changed), entry.Type().Perm()|0o644)
		}
		return nil
	}))
	return count
}

// checkOutputs holds everything that is printed about a host to what is safe.
func checkOutputs(t *testing.T, what, root string) {
	t.Helper()
	const limit = 30 * time.Second // generous: the machine may be busy
	began := time.Now()
	report, err := examine(t, root)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	made, errImport := importer.New(tree.At(root), inventory.Read(tree.At(root)))
	if took := time.Since(began); took > limit {
		t.Errorf("%s: it took %s", what, took)
	}
	var out bytes.Buffer
	must(t, text.Printer{Out: &out, Format: "table"}.Doctor(report))
	if errImport == nil {
		must(t, text.Printer{Out: &out, Format: "table"}.Import(made))
		text.ImportNotes(&out, made.Notes)
		text.ImportObsolete(&out, made.Obsolete, false)
		checkDropIn(t, what, made.YAML)
	} else {
		text.ImportNotes(&out, []string{errImport.Error()})
	}
	checkPrintable(t, what, out.String())
	checkCommands(t, what, report)
	for name, write := range map[string]func(text.Printer) error{
		"doctor": func(p text.Printer) error { return p.Doctor(report) },
		"import": func(p text.Printer) error { return p.Import(made) },
	} {
		out.Reset()
		must(t, write(text.Printer{Out: &out, Format: "json"}))
		if !utf8.Valid(out.Bytes()) || !json.Valid(out.Bytes()) {
			t.Errorf("%s: the document of %s is no valid JSON", what, name)
		}
	}
}

// checkPrintable reports the first character that a terminal would obey.
func checkPrintable(t *testing.T, what, printed string) {
	t.Helper()
	at := strings.IndexFunc(printed, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar
	})
	if at >= 0 {
		t.Errorf("%s: %q is printed", what, printed[max(0, at-60):min(len(printed), at+20)])
	}
}

// quoted matches what shell.Quote makes of a text that a person would not see.
var quoted = regexp.MustCompile(`^\$\(printf '(?:[A-Za-z0-9@+=:,./_ -]|\\[0-7]{3})*'\)$`)

// checkCommands parses the commands of all fixes: none runs the marker, and values are numbers.
func checkCommands(t *testing.T, what string, report doctor.Report) {
	t.Helper()
	isNumber := regexp.MustCompile(`^[0-9]+\n$`)
	for _, f := range report.Findings {
		for _, step := range f.Fix {
			if step.Edit == nil {
				checkCommand(t, what+": "+f.ID, change.Render([]finding.Step{step}, "")[0])
			}
			if w := step.Write; w != nil && change.IsKernelFile(w.File) && !isNumber.MatchString(w.Content) {
				t.Errorf("%s: the fix of %s writes no number: %q", what, f.ID, w.Content)
			}
		}
	}
}

// checkCommand parses a command, and the script of sh -c.
func checkCommand(t *testing.T, what, command string) {
	t.Helper()
	file, err := syntax.NewParser().Parse(strings.NewReader(command), "")
	if err != nil {
		t.Errorf("%s has a fix that is no command: %q: %v", what, command, err)
		return
	}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.ParamExp, *syntax.ArithmExp:
			expanded := command[node.Pos().Offset():node.End().Offset()]
			if strings.Contains(expanded, marker) && !quoted.MatchString(expanded) {
				t.Errorf("%s: the fix expands %s", what, command)
			}
		case *syntax.CallExpr:
			words := literals(node)
			if len(words) > 0 && strings.Contains(words[0], marker) {
				t.Errorf("%s: the fix runs %q", what, words)
			}
			if len(words) == 3 && words[0] == "sh" {
				checkCommand(t, what, words[2])
			}
		}
		return true
	})
}

// literals returns the words of a command without their quotes.
func literals(call *syntax.CallExpr) []string {
	var words []string
	for _, word := range call.Args {
		var b strings.Builder
		for _, part := range word.Parts {
			switch part := part.(type) {
			case *syntax.Lit:
				b.WriteString(part.Value)
			case *syntax.SglQuoted:
				b.WriteString(part.Value)
			}
		}
		words = append(words, b.String())
	}
	return words
}

// checkDropIn holds the values of import's drop-in to be numbers, booleans and lists of names.
func checkDropIn(t *testing.T, what string, dropIn []byte) {
	t.Helper()
	var parsed map[string]any
	if err := yaml.Unmarshal(dropIn, &parsed); err != nil {
		t.Errorf("%s: import's drop-in is no YAML: %v\n%s", what, err, dropIn)
	}
	settings, _ := parsed["settings"].(map[string]any)
	for name, value := range settings {
		if word, isText := value.(string); isText && strings.Contains(word, marker) {
			t.Errorf("%s: import sets %s to %q", what, name, word)
		}
	}
}
