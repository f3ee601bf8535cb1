// Package importer turns the values that a host's files set for nf_conntrack into a drop-in of
// ctkeeper's configuration, or into a whole one.
//
// It stands before event → observe → diff → apply → record: it helps people to write the first
// configuration.
package importer
