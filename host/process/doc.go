// Package process lists the running processes with their command lines. It is a leaf below event → observe →
// diff → apply → record.
package process
