// Package man makes man pages, in the language of man(7). The tests of the programs write theirs with it, from the
// flags and help that the programs have; its own test makes those of documents. All are in packaging/man.
package man
