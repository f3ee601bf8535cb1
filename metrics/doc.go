// Package metrics exports what the daemon does and the state of the table to Prometheus. Counters are
// incremented when an event is recorded; gauges are read at each scrape.
//
// It is part of record in event → observe → diff → apply → record.
package metrics
