package reference

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

//go:embed meanings.yaml
var meanings []byte

//go:embed keys.yaml
var keys []byte

//go:embed template.md
var template string

// A meaning is the text for one value.
type meaning struct {
	Means string
	Do    string // what to do about it, if anything
}

// A section is one table of the reference: the values of a Go type and their texts.
type section struct {
	name   string // in meanings.yaml, and as {name} in template.md
	dir    string // package, below the root of the module
	typ    string // the type of its constants; "" for string constants whose names begin with prefix
	prefix string
}

var sections = []section{
	{name: "setting states", dir: "reconcile", typ: "State"},
	{name: "module states", dir: "kmod", typ: "State"},
	{name: "parameter states", dir: "status", typ: "ParameterState"},
	{name: "guard states", dir: "status", typ: "GuardState"},
	{name: "severities", dir: "status", typ: "Severity"},
	{name: "levels", dir: "table", typ: "Level"},
	{name: "losses", dir: "table", typ: "Loss"},
	{name: "events", dir: "reconcile", typ: "Kind"},
	{name: "causes", dir: "reconcile", typ: "Cause"},
	{name: "results", dir: "reconcile", typ: "Result"},
	{name: "paths", dir: "status", prefix: "Path"},
}

// Generate returns docs/reference.md. root is the directory of the module, and exitStatuses the
// meaning of each exit status of each command.
func Generate(root string, exitStatuses map[string]map[int]string) (string, error) {
	var texts map[string]map[string]meaning
	if err := yaml.Unmarshal(meanings, &texts); err != nil {
		return "", fmt.Errorf("cannot read meanings.yaml: %w", err)
	}
	var errs []error
	var replacements []string
	for _, s := range sections {
		values, err := constants(root, s)
		if err != nil {
			return "", err
		}
		errs = append(errs, compare(s.name, values, texts[s.name]))
		replacements = append(replacements, "{"+s.name+"}", valueTable(s.name, values, texts[s.name]))
	}
	replacements = append(replacements, "{exit statuses}", exitTable(exitStatuses),
		"{findings}", findingsTable(), "{counters}", countersTable())
	k := &keyTexts{used: map[string]bool{}}
	if err := yaml.Unmarshal(keys, &k.texts); err != nil {
		return "", fmt.Errorf("cannot read keys.yaml: %w", err)
	}
	for name, document := range documents {
		text, err := keysTable(name, document, k)
		errs = append(errs, err)
		replacements = append(replacements, "{"+name+" document}", text)
	}
	errs = append(errs, k.unused())
	return strings.NewReplacer(replacements...).Replace(template), errors.Join(errs...)
}

// compare returns an error for each value without a text and each text without a value.
func compare(name string, values []string, texts map[string]meaning) error {
	var errs []error
	for _, value := range values {
		if texts[value].Means == "" {
			errs = append(errs, fmt.Errorf("meanings.yaml: %s: no text for %s", name, value))
		}
	}
	for value := range texts {
		if !slices.Contains(values, value) {
			errs = append(errs, fmt.Errorf("meanings.yaml: %s: the code has no %s", name, value))
		}
	}
	return errors.Join(errs...)
}

// valueTable returns the rows of a section in the order of the code. Events have their MESSAGE_ID as well.
func valueTable(name string, values []string, texts map[string]meaning) string {
	var b strings.Builder
	if name == "events" {
		b.WriteString("| event | MESSAGE_ID | meaning | what to do |\n|---|---|---|---|\n")
	} else {
		b.WriteString("| value | meaning | what to do |\n|---|---|---|\n")
	}
	for _, value := range values {
		id := ""
		if name == "events" {
			id = " `" + systemd.MessageID(value) + "` |"
		}
		fmt.Fprintf(&b, "| `%s` |%s %s | %s |\n", value, id, texts[value].Means, texts[value].Do)
	}
	return strings.TrimSpace(b.String())
}

func findingsTable() string {
	var b strings.Builder
	b.WriteString("| id | meaning | what to do |\n|---|---|---|\n")
	for _, entry := range finding.Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", entry.ID, entry.Meaning, entry.Do)
	}
	return strings.TrimSpace(b.String())
}

func countersTable() string {
	var b strings.Builder
	b.WriteString("| counter | what it counts | meaning |\n|---|---|---|\n")
	for _, c := range status.Counters() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, c.Word, c.Meaning)
	}
	return strings.TrimSpace(b.String())
}

func exitTable(commands map[string]map[int]string) string {
	var b strings.Builder
	b.WriteString("| command | status | meaning |\n|---|---|---|\n")
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		name := "`" + command + "`"
		for _, status := range slices.Sorted(maps.Keys(commands[command])) {
			fmt.Fprintf(&b, "| %s | %d | %s |\n", name, status, commands[command][status])
			name = ""
		}
	}
	return strings.TrimSpace(b.String())
}
