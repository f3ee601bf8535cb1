// Package shell quotes words for a POSIX shell.
package shell
