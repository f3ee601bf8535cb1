// Package printable makes text of others safe for a terminal: file names, errors, names of processes. Without it
// a name with an escape sequence or a bidirectional override could forge what a person reads.
//
// In event → observe → diff → apply → record it is below all of them: whatever writes text for people uses it.
package printable
