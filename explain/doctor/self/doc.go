// Package self checks ctkeeper itself: its privileges, its unit and its configuration.
package self
