// Package term is ctkeeper status --watch: the status as a live view in a terminal.
//
// In event → observe → diff → apply → record it stands at the end: it reads what was recorded.
package term
