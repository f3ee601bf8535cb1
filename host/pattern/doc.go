// Package pattern has regular expressions that are compiled at their first use. Compiled ones take some 10 KiB
// each, and the daemon uses hardly any of those that its program has.
package pattern
