package main

import (
	"debug/buildinfo"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/pattern"
)

// apache stands for the text of the Apache License, which packages must not repeat on Debian (lintian's
// copyright-file-contains-full-apache-2-license).
const apache = `The text of the Apache License, version 2.0, is in
/usr/share/common-licenses/Apache-2.0 on Debian, and in LICENSE beside this
file on other systems.`

// head begins the file. The guard's BPF programs have a licence of their own: the kernel allows some of its
// functions only to programs under the GPL.
var head = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ctkeeper
Source: https://github.com/ctkeeper/ctkeeper

Files: *
Copyright: 2026 The ctkeeper authors
License: Apache-2.0
` + indent(apache) + `
Files: guard/bpf/*
Copyright: 2026 The ctkeeper authors
License: Expat or GPL-2
 At your choice: the Expat licence, as below, or version 2 of the GNU General
 Public License, which is in /usr/share/common-licenses/GPL-2 on Debian.
`

// licence is a text and the modules that it applies to.
type licence struct {
	text    string // without the lines of its holders
	holders []string
	modules []string
}

// copyright returns the licences of all modules that are linked into a program, each text once, in the format of
// https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/.
func copyright(program string) (string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "", err
	}
	root, err := output("env", "GOROOT")
	if err != nil {
		return "", err
	}
	list := []string{"list", "-m", "-f", "{{.Path}} {{.Dir}}"}
	for _, m := range info.Deps {
		list = append(list, m.Path)
	}
	modules, err := output(list...)
	if err != nil {
		return "", err
	}
	dirs := map[string]string{"std": root}
	for line := range strings.Lines(modules) {
		module, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		dirs[module] = dir
	}
	const line = "{{with .Module}}{{.Path}} {{.Dir}}{{end}} {{.ImportPath}}"
	packages, err := output("list", "-deps", "-f", line, info.Path)
	if err != nil {
		return "", err
	}
	if err := addCopies(dirs, packages); err != nil {
		return "", err
	}
	licences, err := collect(dirs)
	if err != nil {
		return "", err
	}
	text := head
	for _, l := range licences {
		text += "\n" + l.paragraph()
	}
	return text, nil
}

// addCopies adds the directories below a module's that have a licence of their own, such as copies of other modules.
// Each line of packages has the module, its directory, and a package that is linked.
func addCopies(dirs map[string]string, packages string) error {
	for line := range strings.Lines(packages) {
		fields := strings.Fields(line)
		if len(fields) < 3 || dirs[fields[0]] == "" { // of the standard library, or of ctkeeper
			continue
		}
		module, root := fields[0], fields[1]
		for name := fields[2]; name != module; name = path.Dir(name) {
			dir := filepath.Join(root, strings.TrimPrefix(name, module))
			text, err := readLicence(dir)
			if err != nil {
				return err
			}
			if text != "" {
				dirs[name] = dir
			}
		}
	}
	return nil
}

// output runs the go command.
func output(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output()
	if err != nil {
		return "", fmt.Errorf("cannot run go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// collect reads the licences of modules by their directory, and joins those that differ in holders or spaces only.
func collect(dirs map[string]string) ([]*licence, error) {
	var all []*licence
	for _, module := range slices.Sorted(maps.Keys(dirs)) {
		text, err := readLicence(dirs[module])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", module, err)
		}
		l := parse(text)
		if len(l.names()) == 0 {
			return nil, fmt.Errorf("the licence of %s is not known: add it to known in packaging/metadata", module)
		}
		same := slices.IndexFunc(all, func(other *licence) bool {
			return slices.Equal(strings.Fields(other.text), strings.Fields(l.text))
		})
		if same < 0 {
			same, all = len(all), append(all, l)
		}
		all[same].modules = append(all[same].modules, module)
		for _, holder := range l.holders {
			if !slices.Contains(all[same].holders, holder) {
				all[same].holders = append(all[same].holders, holder)
			}
		}
	}
	return all, nil
}

// licenceFile matches the names of licences, of notices that have to be kept, and of grants of patents.
var licenceFile = pattern.New(`^(LICEN[CS]E|COPYING|NOTICE|PATENTS)(-[A-Z]+|\.(md|txt|libyaml))?$`)

func readLicence(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var texts []string
	for _, e := range entries {
		if licenceFile.MatchString(e.Name()) {
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return "", err
			}
			texts = append(texts, strings.TrimRight(string(text), "\n"))
		}
	}
	return strings.Join(texts, "\n\n"), nil
}

var (
	holderLine = pattern.New(`(?im)^[ \t]*copyright (?:\(c\) |© )?(.*?(?:\d{4}|authors).*?)\.?` +
		`(?: all rights reserved\.?)?$\n?`)
	// The terms, and the appendix that says how to apply them.
	apacheTerms = pattern.New(`(?s)[ \t]*Apache License\s+Version 2\.0, January 2004.*?` +
		`any such warranty or additional\s+liability\.(?:\s+END OF TERMS AND CONDITIONS)?` +
		`(?:\s+APPENDIX: How to apply.*?limitations\s+under the License\.)?`)
)

// known has the licences by a part of their text.
var known = []struct {
	name string
	text *pattern.Pattern
}{
	{"Apache-2.0", pattern.New(`common-licenses/Apache-2\.0|Licensed under the Apache License, Version 2\.0`)},
	{"BSD-3-clause", pattern.New(`(?s)Redistribution and use in source .*(Neither|contributors may)`)},
	{"BSD-2-clause", pattern.New(`(?s)Redistribution and use in source `)},
	{"Expat", pattern.New(`(?s)Permission is hereby granted, free of charge,\s+to any person`)},
}

// parse separates the holders from the text, and shortens the Apache License.
func parse(text string) *licence {
	l := &licence{}
	text = apacheTerms.ReplaceAllString(text, apache)
	for _, m := range holderLine.FindAllStringSubmatch(text, -1) {
		l.holders = append(l.holders, strings.TrimSpace(m[1]))
	}
	l.text = strings.Trim(holderLine.ReplaceAllString(text, ""), "\n")
	return l
}

// names returns the short names of the licences that a text has.
func (l *licence) names() []string {
	var names []string
	for _, k := range known {
		if k.text.MatchString(l.text) && !(k.name == "BSD-2-clause" && slices.Contains(names, "BSD-3-clause")) {
			names = append(names, k.name)
		}
	}
	return names
}

func (l *licence) paragraph() string {
	holders := l.holders
	if len(holders) == 0 {
		holders = []string{"the authors of these modules"}
	}
	return "Files: " + strings.Join(l.modules, "/*\n ") + "/*\n" +
		"Copyright: " + strings.Join(holders, "\n ") + "\n" +
		"License: " + strings.Join(l.names(), " and ") + "\n" + indent(l.text)
}

// indent makes a text the rest of a field: an empty line is a dot.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(strings.ReplaceAll(line, "\t", "    "), " \r\n")
		if line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	return b.String()
}
