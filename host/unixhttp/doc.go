// Package unixhttp serves and reads HTTP/1.1 on a unix socket: GET alone, one request a connection (RFC 9112).
// It is here because net/http links TLS, HTTP/2 and their tables, some 3 MiB, into a daemon that uses none.
//
// It is beside event → observe → diff → apply → record: the status socket speaks it.
package unixhttp
