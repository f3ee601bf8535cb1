// Package debs builds ctkeeper's Debian packages with a version of the test's choice, for tests that upgrade.
package debs
