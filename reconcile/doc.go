// Package reconcile is ctkeeper's heart: one loop, one kind of pass.
//
//	event → observe → diff → apply → record
//
// An event (a uevent, a foreign write, a timer, a new configuration) only wakes
// the loop and says why; it never carries a value. A pass then reads the real
// state of every wanted setting, works out purely what differs (Diff), writes
// only that, reads it back, and records each change. A second pass after any
// pass writes nothing.
//
// The package knows settings (sysfs) and nothing of configuration files,
// systemd or metrics: those are told through Recorder and the hooks of Options.
package reconcile
