// Package view is what people and programs read on standard output: tables for
// a terminal, JSON and YAML of the same documents. It decides nothing.
package text
