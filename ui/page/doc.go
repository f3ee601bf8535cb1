// Package page is the status page: one page without foreign files that shows what ctkeeper status shows, and plots the
// last hours. It never writes.
//
// In event → observe → diff → apply → record it stands at the end: it reads what was recorded.
package page
