// Package text prints documents on standard output: tables for a terminal, JSON and YAML of the same documents
// for programs. It decides nothing.
//
// In event → observe → diff → apply → record it stands at the end: it reads what was recorded.
package text
