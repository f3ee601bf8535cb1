// Package guard checks whether this host can run the guard that the configuration asks for.
package guard
