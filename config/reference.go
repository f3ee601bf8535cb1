package config

// Reference is docs/configuration.md, generated from the catalogue.
func Reference() string { return "" }
