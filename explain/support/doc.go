// Package support writes what a bug report needs into one archive, within limits of time and size, and leaves out what
// looks like a secret.
//
// It stands beside event → observe → diff → apply → record: it never changes anything.
package support
