// Package importer turns what a host's files say of nf_conntrack into ctkeeper's
// configuration.
//
// It stands before event → observe → diff → apply → record: it helps people to
// write down what is to be kept.
package importer
