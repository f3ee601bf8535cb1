package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed performance.md.tmpl
var documentText string

// writeDocument writes performance.md and its images below dir from the reports in files.
func writeDocument(dir string, files []string) error {
	if len(files) != 2 {
		return errors.New("usage: bench -document DIR here.json machine.json")
	}
	here, err := readReport(files[0])
	if err != nil {
		return err
	}
	machine, err := readReport(files[1])
	if err != nil {
		return err
	}
	document, err := template.New("performance.md").Parse(documentText)
	if err != nil {
		return err
	}
	var text strings.Builder
	err = document.Execute(&text, map[string]string{"Here": here.tables(), "Machine": machine.tables()})
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"performance.md":       text.String(),
		"performance/here.svg": here.svg("drift", "total"),
		"performance/load.svg": machine.svg("load", "total"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func readReport(file string) (*report, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return r, nil
}
