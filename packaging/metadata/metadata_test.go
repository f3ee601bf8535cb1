package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChangelog(t *testing.T) {
	text := `# Changelog

## [0.2.0] - 2027-01-31

### Added
- A thing, see [its page](docs/thing.md),
  on two lines.
- Another.

Text between.

## [0.1.0] - 2026-11-27
- First.

[0.1.0]: https://example.org
`
	got, err := changelog(text, "0.2.0+3.gabc-1")
	if err != nil {
		t.Fatal(err)
	}
	head := func(version, date string) string {
		return "- semver: " + version + "\n  date: " + date + "T00:00:00Z\n  packager: " + maintainer + "\n" +
			"  deb:\n    urgency: medium\n    distributions:\n        - stable\n  changes:\n"
	}
	want := head("0.2.0+3.gabc-1", "2027-01-31") +
		"    - note: A thing, see its page, on two lines.\n    - note: Another.\n" +
		head("0.1.0", "2026-11-27") + "    - note: First.\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changelog (-want +got):\n%s", diff)
	}
	if _, err := changelog("# Changelog\n", "1"); err == nil {
		t.Error("a file without a release is accepted")
	}
	if _, err := changelog("## [1.0.0] - soon\n", "1"); err == nil {
		t.Error("a release without a date is accepted")
	}
}

func TestWrap(t *testing.T) {
	for line := range strings.SplitSeq(wrap(strings.Repeat("word ", 40)), "\n") {
		if len(line) > 72 || line != strings.TrimSpace(line) {
			t.Errorf("line %q", line)
		}
	}
}

const mit = "Copyright (c) %s\n\nPermission is hereby granted, free of charge, to any person obtaining it.\n"

func TestCollect(t *testing.T) {
	terms := "  Apache License\n Version 2.0, January 2004\n...\nany such warranty or additional liability.\n"
	terms += "\n END OF TERMS AND CONDITIONS\n\n APPENDIX: How to apply\n" +
		" Copyright [yyyy]\n limitations under the License.\n"
	dirs := map[string]string{}
	for module, files := range map[string]map[string]string{
		"a/mit":    {"LICENSE": strings.ReplaceAll(mit, "%s", "2001 A. All rights reserved."), "LICENSE.go": "code"},
		"b/mit":    {"COPYING": strings.ReplaceAll(strings.ReplaceAll(mit, "%s", "2002 B"), ", to any", ",\nto any")},
		"c/apache": {"LICENSE": terms, "NOTICE": "Copyright 2003 C\nC says so."},
		"d/bsd": {
			"LICENSE.md": "Copyright 2004 D\nRedistribution and use in source form. Neither the name.",
			"PATENTS":    "grant",
		},
		"e/bsd": {"LICENSE": "Copyright 2005 E\nRedistribution and use in source form."},
	} {
		dirs[module] = t.TempDir()
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dirs[module], name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := collect(dirs)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range all {
		got = append(got, l.paragraph())
	}
	want := []string{
		"Files: a/mit/*\n b/mit/*\nCopyright: 2001 A\n 2002 B\nLicense: Expat\n" +
			" Permission is hereby granted, free of charge, to any person obtaining it.\n",
		"Files: c/apache/*\nCopyright: 2003 C\nLicense: Apache-2.0\n" + indent(apache) + " .\n C says so.\n",
		"Files: d/bsd/*\nCopyright: 2004 D\nLicense: BSD-3-clause\n" +
			" Redistribution and use in source form. Neither the name.\n .\n grant\n",
		"Files: e/bsd/*\nCopyright: 2005 E\nLicense: BSD-2-clause\n Redistribution and use in source form.\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("collect (-want +got):\n%s", diff)
	}
	if _, err := collect(map[string]string{"x": t.TempDir()}); err == nil {
		t.Error("a module without a licence is accepted")
	}
}

// TestCopyright covers the exporter: real licences of all kinds, and copies of modules in others.
func TestCopyright(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ctkeeper-exporter")
	out, err := exec.Command("go", "build", "-o", program, "../../cmd/ctkeeper-exporter").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := copyright(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		" std/*\n", "2009 The Go Authors\n",
		" github.com/prometheus/client_golang/internal/github.com/golang/gddo/*\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\n\n\n") || strings.Contains(text, "\n\t") {
		t.Error("not in the form of a copyright file")
	}
}
