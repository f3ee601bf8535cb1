// Command boot starts a systemd in a Debian root, and waits until it ends. Usage:
//
//	boot ROOT
//
// It writes the process id of that systemd to standard output. It ends the machine when standard input ends, so that
// no machine outlives the test that started it. What the machine had is removed then: processes, mounts and control
// groups. ROOT is not written to.
//
// boot has to run in a mount namespace of its own.
package main
