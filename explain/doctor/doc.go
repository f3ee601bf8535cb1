// Package doctor explains a host: why the connection tracker or its settings are
// not as wanted, with the evidence and the command that mends it. It takes one
// picture of the host, and every check is a pure function from that picture to
// findings. It changes nothing and loads nothing.
//
// It stands beside event → observe → diff → apply → record: it tells why they could
// not.
package doctor
