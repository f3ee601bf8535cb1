// Package setup turns the guard on and off on a host: it plans the drop-ins of ctkeeper.service, which have the
// capabilities, and the drop-in of the configuration, which has the mode.
//
// It stands beside event → observe → diff → apply → record: a command uses it, the daemon does not.
package setup
