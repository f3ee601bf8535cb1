// Package logging writes entries to a core of zap's. The package zap, which does the same, links net/http and with
// it all of TLS: 1 MB of a program, and 0.8 MB of what is resident.
package logging
