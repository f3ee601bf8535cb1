// Package sizing checks the connection table: its use, its limits, the memory that they take, and the timeouts.
package sizing
