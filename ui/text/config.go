package text

import (
	"errors"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/status"
)

// Config writes a merged configuration: as YAML with a comment on each line for people, and as a document with
// the origin beside each value for programs.
func (p Printer) Config(cfg *config.Config) error {
	if p.Format == "table" {
		return cfg.Show(p.Out)
	}
	return p.Document(struct {
		API status.API `json:"api"`
		config.View
	}{View: cfg.View()}, nil)
}

// Problems writes the result of config check for programs. err is nil or a config.Errors.
func (p Printer) Problems(warnings []string, err error) error {
	doc := struct {
		API      status.API    `json:"api"`
		OK       bool          `json:"ok"`
		Errors   config.Errors `json:"errors"`
		Warnings []string      `json:"warnings"`
	}{OK: err == nil, Errors: config.Errors{}, Warnings: append([]string{}, warnings...)}
	errors.As(err, &doc.Errors)
	return p.Document(doc, nil)
}
