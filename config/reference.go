package config

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/sysfs"
)

// example is a configuration with every key.
//
//go:embed reference.yaml
var example string

// referenceText is the reference without what is generated: {example}, {default}, {settings} and
// {parameters}.
//
//go:embed reference.md
var referenceText string

// Reference returns docs/configuration.md, generated from the catalogue and the embedded files.
func Reference() string {
	return strings.NewReplacer(
		"{example}", strings.TrimSpace(example),
		"{default}", strings.TrimSpace(string(defaults)),
		"{settings}", settingsTable(),
		"{parameters}", parametersTable(),
	).Replace(referenceText)
}

func settingsTable() string {
	var b strings.Builder
	b.WriteString("| setting | kind | range | kernels | description |\n|---|---|---|---|---|\n")
	for _, s := range sysfs.Catalogue() {
		name := "`" + s.Name + "`"
		if s.Alias != "" {
			name += ", `" + s.Alias + "`"
		}
		doc := s.Doc
		if s.Global {
			doc += " One value for the whole host."
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, s.Kind, rangeOf(s), kernels(s), doc)
	}
	return strings.TrimSpace(b.String())
}

func rangeOf(s *sysfs.Setting) string {
	switch {
	case s.Kind == sysfs.Bool:
		return "true, false"
	case canBeAuto(s.Name):
		return fmt.Sprintf("%d–%d, auto", s.Min, s.Max)
	}
	return fmt.Sprintf("%d–%d", s.Min, s.Max)
}

func kernels(s *sysfs.Setting) string {
	switch {
	case s.Since != "" && s.Until != "":
		return s.Since + " to " + s.Until
	case s.Since != "":
		return "since " + s.Since
	case s.Until != "":
		return "up to " + s.Until
	}
	return "all"
}

func parametersTable() string {
	var b strings.Builder
	b.WriteString("| parameter | range | description |\n|---|---|---|\n")
	for _, p := range moduleParameters() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", p.name, p.allowed(), p.doc)
	}
	return strings.TrimSpace(b.String())
}
