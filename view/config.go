package view

import "github.com/ctkeeper/ctkeeper/config"

// Config writes a merged configuration: as YAML with a comment on each line for
// people, and as a document with the origin beside each value for programs.
func (p Printer) Config(cfg *config.Config) error {
	if p.Format == "table" {
		return cfg.Show(p.Out)
	}
	return p.Document(cfg.View(), nil)
}
