// Package web is the status page: one page, complete in itself, that shows what
// ctkeeper status shows and plots the last hours. It reads and never writes.
//
// It stands at the end of event → observe → diff → apply → record, where people look.
package page
