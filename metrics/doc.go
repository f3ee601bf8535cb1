// Package metrics makes Prometheus metrics of the daemon's documents, which it asks for at each scrape. It keeps
// nothing between scrapes: a daemon that does not answer has no values.
//
// It stands behind record in event → observe → diff → apply → record, in another process than the daemon.
package metrics
