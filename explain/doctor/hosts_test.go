package doctor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

var update = flag.Bool("update", false, "rewrite the golden reports")

// examine looks at the tree below root as the command does.
func examine(t *testing.T, root string) (doctor.Report, error) {
	t.Helper()
	source := config.Source{Root: root, Main: config.DefaultMain}
	return doctor.Examine(t.Context(), picture.Options{Source: source})
}

// TestHosts holds the report on each host of testdata/hosts to its golden files: what
// people read, and what programs read.
func TestHosts(t *testing.T) {
	archives, err := filepath.Glob("testdata/hosts/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no hosts", err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(archive, ".txtar")
		t.Run(filepath.Base(name), func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Unpack(t, root, archive)
			before := snapshot(t, root)
			report, err := examine(t, root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, snapshot(t, root)); diff != "" {
				t.Errorf("looking changed the host (-want +got):\n%s", diff)
			}
			report.Root = "/mnt/host"
			for _, form := range []struct{ file, format string }{{name + ".golden", "table"}, {name +
				".json.golden", "json"}} {
				var out bytes.Buffer
				if err := (text.Printer{Out: &out, Format: form.format}).Doctor(report); err != nil {
					t.Fatal(err)
				}
				golden(t, form.file, out.Bytes())
				if strings.Contains(out.String(), root) {
					t.Errorf("the %s names the place of the tree, %s:\n%s", form.format, root, out.String())
				}
			}
		})
	}
}

// TestHostsVerdicts says in one place which hosts are healthy, and what must not be
// missed on the others.
func TestHostsVerdicts(t *testing.T) {
	tests := map[string]struct {
		healthy bool
		must    []string
	}{
		"alpine": {false, []string{"expectation-drops", "contradiction", "helpers", "no-systemd"}},
		"centos6": {false, []string{"expectation-drops", "two-names",
			"firewall-restart-resets", "not-applied", "helpers", "no-systemd"}},
		"centos7": {false, []string{"module-not-loaded", "kernel-not-installed", "contradiction",
			"firewall-restart-resets"}},
		"container":       {false, []string{"child-netns", "read-only"}},
		"debian12":        {false, []string{"module-not-loaded", "module-blacklisted", "sysctl-too-early"}},
		"debian13":        {true, nil},
		"kubernetes-node": {false, []string{"table-drops", "load-factor", "established-timeout-long", "other-owner"}},
		"ubuntu2404": {false, []string{"module-not-loaded", "dependency-missing", "bad-parameter",
			"sysctl-too-early", "contradiction"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Unpack(t, root, filepath.Join("testdata/hosts", name+".txtar"))
			report, err := examine(t, root)
			if err != nil {
				t.Fatal(err)
			}
			if test.healthy && len(report.Findings) > 0 {
				t.Errorf("findings on a healthy host: %+v", report.Findings)
			}
			if report.Healthy != test.healthy {
				t.Errorf("healthy: %v, want %v", report.Healthy, test.healthy)
			}
			found := map[string]bool{}
			for _, f := range report.Findings {
				found[f.ID] = true
				seeOther := f.ID == "module-not-loaded" // what keeps it out has a finding of its own
				if len(f.Evidence) == 0 || f.Severity != finding.Info && len(f.Fix) == 0 && f.Note == "" && !seeOther {
					t.Errorf("%s has no evidence, or no fix and no note: %+v", f.ID, f)
				}
			}
			for _, id := range test.must {
				if !found[id] {
					t.Errorf("%s was not found", id)
				}
			}
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// snapshot has every file below root by name: kind, mode, time of the last change,
// and content.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = string(data)
		}
		all[path] = info.Mode().String() + " " + info.ModTime().String() + " " + content
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestBadInput makes each file that a report rests on into something that cannot be
// read. Each is a finding, nothing hangs, and the rest of the report is as before.
func TestBadInput(t *testing.T) {
	const limit = 20 * time.Second // generous: the machine may be busy
	kinds := badKinds()
	places := []string{"/etc/modprobe.d/00-bad.conf", "/etc/sysctl.d/00-bad.conf"}
	root := t.TempDir()
	kerneltree.Unpack(t, root, "testdata/hosts/debian12.txtar")
	sound, err := examine(t, root)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range places {
		for _, kind := range kinds {
			t.Run(place+" is "+kind.name, func(t *testing.T) {
				root := t.TempDir()
				kerneltree.Unpack(t, root, "testdata/hosts/debian12.txtar")
				kind.make(t, filepath.Join(root, place))
				began := time.Now()
				report, err := examine(t, root)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > limit {
					t.Errorf("it took %s", took)
				}
				var bad, rest []finding.Finding
				for _, f := range report.Findings {
					if f.ID == "file-unreadable" {
						bad = append(bad, f)
					} else {
						rest = append(rest, f)
					}
				}
				if len(bad) != 1 || len(bad[0].Evidence) == 0 || bad[0].Evidence[0].File != place {
					t.Errorf("the findings on unreadable files are %+v, want one on %s", bad, place)
				}
				if diff := cmp.Diff(sound.Findings, rest); diff != "" {
					t.Errorf("the other findings (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// badKind is a way for a file to be bad.
type badKind struct {
	name string
	make func(t *testing.T, path string)
}

func badKinds() []badKind {
	return []badKind{
		{"a directory", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o755)) }},
		{"10 MB long", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte("options nf_conntrack hashsize=1\n"), 10<<20/32), 0o644))
		}},
		{"binary", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, bytes.Repeat([]byte{0x7f, 'E', 'L', 'F', 0, 1, 0xff, '\n', 0xfe}, 200), 0o644))
		}},
		{"a loop of links", func(t *testing.T, path string) { must(t, os.Symlink(filepath.Base(path), path)) }},
		{"a pipe", func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o644)) }},
	}
}

// TestAnyFileBad makes every file of the hosts bad, one after the other, and another way
// each: a report comes all the same, and soon.
func TestAnyFileBad(t *testing.T) {
	const limit = 20 * time.Second
	kinds := badKinds()
	for _, name := range []string{"centos6", "centos7", "kubernetes-node"} {
		root := t.TempDir()
		kerneltree.Unpack(t, root, filepath.Join("testdata/hosts", name+".txtar"))
		var files []string
		must(t, filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				files = append(files, path)
			}
			return err
		}))
		for i, file := range files {
			kind := kinds[i%len(kinds)]
			must(t, os.Rename(file, file+".saved"))
			kind.make(t, file)
			began := time.Now()
			if _, err := examine(t, root); err != nil {
				t.Errorf("%s is %s: %v", file, kind.name, err)
			}
			if took := time.Since(began); took > limit {
				t.Errorf("%s is %s: it took %s", file, kind.name, took)
			}
			must(t, os.RemoveAll(file))
			must(t, os.Rename(file+".saved", file))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothing is a root with nothing in it, which is named.
func TestNothing(t *testing.T) {
	root := t.TempDir()
	_, err := examine(t, root)
	if !errors.Is(err, doctor.ErrNothing) {
		t.Fatalf("the error is %v, want ErrNothing", err)
	}
	want := "cannot examine " + root + ": nothing to examine: no /etc, no /lib/modules, no /usr/lib/modules, no " +
		"/proc, no /sys"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("the error (-want +got):\n%s", diff)
	}
}

// TestCancelled holds Examine to its context.
func TestCancelled(t *testing.T) {
	root := t.TempDir()
	kerneltree.Unpack(t, root, "testdata/hosts/alpine.txtar")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := doctor.Examine(ctx, picture.Options{Source: config.Source{Root: root,
		Main: config.DefaultMain}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v, want %v", err, context.Canceled)
	}
}

// TestReportIsJSON reads a report back: programs do.
func TestReportIsJSON(t *testing.T) {
	root := t.TempDir()
	kerneltree.Unpack(t, root, "testdata/hosts/container.txtar")
	report, err := examine(t, root)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	var back doctor.Report
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, back); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}
