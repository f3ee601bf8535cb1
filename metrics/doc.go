// Package metrics tells Prometheus what the daemon does and how the table stands. Counters are
// kept as events come; gauges are read when somebody scrapes.
//
// It is part of record in event → observe → diff → apply → record.
package metrics
