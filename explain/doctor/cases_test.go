package doctor_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// tableFile has the table of what the doctor finds, misses and claims wrongly on the hosts.
const tableFile = "../../docs/doctor.md"

// kinds are what can be amiss on a host, or can seem so. A verdict names them by letter.
var kinds = []struct{ letter, what string }{
	{"A", "what a written value comes to"},
	{"B", "the direction of a fix"},
	{"C", "whether the module was loaded anew"},
	{"D", "commands in units, cron, scripts"},
	{"E", "kube-proxy"},
	{"F", "options of other tools"},
	{"G", "keys that this kernel does not have"},
	{"H", "settings other than max and hashsize"},
	{"I", "what loads the module at boot"},
	{"J", "settings that come before the module"},
	{"K", "containers and unusual systems"},
	{"L", "ordinary overrides, and dead lines"},
}

// allowed are findings about ctkeeper itself, which a host without it has.
var allowed = []string{"not-installed", "no-systemd"}

// A verdict is what is right about a host. It is the file VERDICT of the host's archive:
//
//	kinds A D            letters of kinds
//	healthy              no error and no warning, apart from those on ctkeeper itself, and
//	healthy load-factor  of these kinds
//	alarm RE && RE       an error or a warning matches all of these
//	says RE && RE        a finding of any severity, import's drop-in or a note of import does
//	false RE             a false claim: no summary, note or fix matches, nor anything of import
//	nowhere RE           as false, and no evidence matches either
//	keeps x.conf 65536   a false claim: a fix writes this value into this file
//	import max 262144    import sets this value, or one of several: 1|true; "undecided": no value
//	import load true     import has module.load, the same way
type verdict struct {
	kinds []string
	lines []string
}

// score counts what the doctor and import report about a host, held against its verdict.
type score struct{ hosts, healthy, found, missed, wrong int }

func (s *score) add(other score) {
	s.hosts += other.hosts
	s.healthy += other.healthy
	s.found += other.found
	s.missed += other.missed
	s.wrong += other.wrong
}

// TestVerdicts compares the reports on all hosts with their verdicts, and the sums with the table of docs/doctor.md.
func TestVerdicts(t *testing.T) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no hosts", err)
	}
	sums, all := map[string]*score{}, &score{}
	for _, kind := range kinds {
		sums[kind.letter] = &score{}
	}
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".txtar"), func(t *testing.T) {
			verdict := readVerdict(t, archive)
			got := judge(t, archive, verdict)
			all.add(got)
			for _, letter := range verdict.kinds {
				if sums[letter] == nil {
					t.Fatalf("no kind %q", letter)
				}
				sums[letter].add(got)
			}
		})
	}
	if len(archives) > all.hosts {
		return // only some hosts were run
	}
	var table strings.Builder
	table.WriteString("| kind | | hosts | healthy | found | missed | false |\n|---|---|---|---|---|---|---|\n")
	row := func(letter, what string, s *score) {
		fmt.Fprintf(&table, "| %s | %s | %d | %d | %d | %d | %d |\n", letter, what, s.hosts, s.healthy, s.found,
			s.missed, s.wrong)
	}
	for _, kind := range kinds {
		row(kind.letter, kind.what, sums[kind.letter])
	}
	row("", "all hosts", all)
	compareTable(t, table.String())
}

// compareTable compares the part of docs/doctor.md between its markers.
func compareTable(t *testing.T, table string) {
	t.Helper()
	const begin, end = "<!-- table of hosts -->\n", "<!-- end of the table -->\n"
	page, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, hasBegin := strings.Cut(string(page), begin)
	_, tail, hasEnd := strings.Cut(rest, end)
	if !hasBegin || !hasEnd {
		t.Fatalf("%s has no markers", tableFile)
	}
	golden(t, tableFile, []byte(head+begin+table+end+tail))
	if t.Failed() {
		t.Log("go test ./explain/doctor -run TestVerdicts -update rewrites the table")
	}
}

func readVerdict(t *testing.T, archive string) verdict {
	t.Helper()
	parsed, err := txtar.ParseFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(parsed.Files, func(f txtar.File) bool { return f.Name == "VERDICT" })
	if i < 0 {
		t.Fatal("no VERDICT")
	}
	var v verdict
	lines := bufio.NewScanner(bytes.NewReader(parsed.Files[i].Data))
	for lines.Scan() {
		if list, isKinds := strings.CutPrefix(lines.Text(), "kinds "); isKinds {
			v.kinds = strings.Fields(list)
		} else if lines.Text() != "" {
			v.lines = append(v.lines, lines.Text())
		}
	}
	if len(v.kinds) == 0 || len(v.lines) == 0 {
		t.Fatalf("incomplete verdict: %+v", v)
	}
	return v
}

// judged is a host with its reports.
type judged struct {
	*testing.T
	score
	findings []finding.Finding
	made     importer.Import
}

// judge runs doctor and import on a host.
func judge(t *testing.T, archive string, v verdict) score {
	t.Helper()
	root := t.TempDir()
	kerneltree.Unpack(t, root, archive)
	report, err := examine(t, root)
	if err != nil {
		t.Fatal(err)
	}
	made, _ := importer.New(tree.At(root), inventory.Read(tree.At(root)))
	j := judged{T: t, score: score{hosts: 1}, findings: report.Findings, made: made}
	for _, line := range v.lines {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "healthy":
			j.healthy = 1
			j.checkHealthy(strings.Fields(rest))
		case "alarm", "says":
			j.count(j.has(word == "alarm", rest), line)
		case "false":
			j.checkClaims(line, regexp.MustCompile(rest), j.claims)
		case "nowhere":
			j.checkClaims(line, regexp.MustCompile(rest), j.printed)
		case "keeps":
			j.checkKeeps(line)
		case "import":
			j.checkImport(line)
		default:
			t.Fatalf("invalid line %q", line)
		}
	}
	return j.score
}

func (j *judged) count(isFound bool, line string) {
	if isFound {
		j.found++
		return
	}
	j.missed++
	j.Errorf("%s: missed: %s", filepath.Base(j.Name()), line)
}

func (j *judged) claim(format string, values ...any) {
	j.wrong++
	j.Errorf("%s: false: %s", filepath.Base(j.Name()), fmt.Sprintf(format, values...))
}

func (j *judged) checkHealthy(others []string) {
	for _, f := range j.findings {
		if f.Severity != finding.Info && !slices.Contains(append(others, allowed...), f.ID) {
			j.claim("%s", j.printed(f))
		}
	}
}

// has reports whether one finding, the drop-in or a note of import matches all expressions.
func (j *judged) has(alarm bool, expressions string) bool {
	matches := func(claimed string) bool {
		for part := range strings.SplitSeq(expressions, " && ") {
			if !regexp.MustCompile(part).MatchString(claimed) {
				return false
			}
		}
		return true
	}
	for _, f := range j.findings {
		if !(alarm && f.Severity == finding.Info) && matches(j.printed(f)) {
			return true
		}
	}
	return !alarm && (matches(string(j.made.YAML)) || slices.ContainsFunc(j.made.Notes, matches))
}

func (j *judged) checkClaims(line string, claim *regexp.Regexp, claimed func(finding.Finding) string) {
	texts := append([]string{string(j.made.YAML)}, j.made.Notes...)
	for _, f := range j.findings {
		texts = append(texts, claimed(f))
	}
	for _, text := range texts {
		if found := claim.FindString(text); found != "" {
			j.claim("%s: %q in %s", line, found, text)
		}
	}
}

// checkKeeps claims where a fix writes a value into a file.
func (j *judged) checkKeeps(line string) {
	words := strings.Fields(line)
	for _, f := range j.findings {
		for _, s := range f.Fix {
			file, text := strings.Join(s.Command, " "), strings.Join(s.Command, " ")
			switch {
			case s.Edit != nil:
				file, text = s.Edit.File, s.Edit.New
			case s.Write != nil:
				file, text = s.Write.File, s.Write.Content
			}
			if strings.Contains(file, words[1]) && strings.Contains(text, words[2]) && !strings.HasPrefix(text, "#") {
				j.claim("%s: %s", line, text)
			}
		}
	}
}

// checkImport compares a value of the drop-in. A value that is not right is a false claim.
func (j *judged) checkImport(line string) {
	words := strings.SplitN(line, " ", 3)
	value := regexp.MustCompile(`(?m)^ +"?` + regexp.QuoteMeta(words[1]) + `"?: (.*?)(?:  #.*)?$`)
	got := "undecided"
	if match := value.FindSubmatch(j.made.YAML); match != nil {
		got = string(match[1])
	}
	switch {
	case slices.Contains(strings.Split(words[2], "|"), got):
		j.count(true, line)
	case got == "undecided":
		j.count(false, line)
	default:
		j.claim("%s: import has %s", line, got)
	}
}

// printed returns a finding as people read it.
func (j *judged) printed(f finding.Finding) string {
	var out bytes.Buffer
	report := doctor.Report{Root: "/mnt/host", Findings: []finding.Finding{f}}
	if err := (text.Printer{Out: &out, Format: "table"}).Doctor(report); err != nil {
		j.Fatal(err)
	}
	_, paragraph, _ := strings.Cut(out.String(), "\n\n")
	return paragraph
}

// claims is what a finding claims, without its evidence.
func (j *judged) claims(f finding.Finding) string {
	f.Evidence = nil
	return j.printed(f)
}
