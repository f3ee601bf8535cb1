// Package inventory reads who sets nf_conntrack's values on a host, and who else
// could: every file of every tool that is known to, with the line and the order
// in which they come. It reads files and nothing else.
//
// It stands beside event → observe → diff → apply → record: doctor explains with
// it, import takes over from it.
package inventory
