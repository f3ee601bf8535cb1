package main

import (
	"errors"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

// maintainer is also in the nfpm files: lintian compares them.
const maintainer = "ctkeeper maintainers <maintainers@ctkeeper.invalid>"

// entry is one release in the form of chglog, which nfpm reads.
type entry struct {
	Semver   string
	Date     time.Time
	Packager string
	Deb      struct {
		Urgency       string
		Distributions []string
	}
	Changes []change
}

type change struct{ Note string }

// releaseLine is the heading of a release in the format of Keep a Changelog.
var releaseLine = pattern.New(`^## \[(\d[^]]*)\] - (\S+)$`)

// changelog returns the releases of CHANGELOG.md as YAML. The newest one gets the version of the package.
func changelog(text, version string) (string, error) {
	var entries []entry
	var item []string // the lines of a list's item
	flush := func() {
		if len(item) > 0 && len(entries) > 0 {
			last := &entries[len(entries)-1]
			last.Changes = append(last.Changes, change{wrap(strings.Join(item, " "))})
		}
		item = nil
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		heading := releaseLine.FindStringSubmatch(line)
		if heading != nil || !strings.HasPrefix(line, "  ") {
			flush()
		}
		switch {
		case heading != nil:
			date, err := time.Parse(time.DateOnly, heading[2])
			if err != nil {
				return "", err
			}
			entries = append(entries, newEntry(heading[1], date))
		case strings.HasPrefix(line, "- "), len(item) > 0 && strings.HasPrefix(line, "  "):
			item = append(item, strings.TrimSpace(strings.TrimPrefix(line, "- ")))
		}
	}
	flush()
	if len(entries) == 0 {
		return "", errors.New("CHANGELOG.md has no release")
	}
	entries[0].Semver = version
	out, err := yaml.Marshal(entries)
	return string(out), err
}

func newEntry(version string, date time.Time) entry {
	e := entry{Semver: version, Date: date, Packager: maintainer}
	e.Deb.Urgency, e.Deb.Distributions = "medium", []string{"stable"}
	return e
}

// link is a link of Markdown, of which a changelog shows the text.
var link = pattern.New(`\[([^]]*)\]\([^)]*\)`)

// wrap breaks a note into lines that have room for an indent within 80 columns.
func wrap(note string) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(link.ReplaceAllString(note, "$1")) {
		if line != "" && len(line)+1+len(word) > 72 {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return strings.Join(append(lines, line), "\n")
}
