// Package expectation checks the expectation table: its use, its limit, and the conntrack helpers that fill it.
package expectation
