// Package tui is ctkeeper status --watch: the status as a live view in a terminal.
//
// It stands at the end of event → observe → diff → apply → record, where people look.
package term
