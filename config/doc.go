// Package config reads the configuration: it finds the main file and the drop-ins (hidden and
// masked files included), decodes them strictly with the position of every value, merges them,
// computes what is "auto" from the host's memory, and validates the result. It also watches the
// files for changes.
//
// In event → observe → diff → apply → record it provides the desired state; it never reads or
// writes the kernel's settings. A configuration is valid as a whole or refused as a whole, with
// every error at once.
package config
