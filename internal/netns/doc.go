// Package netns runs tests on the real kernel without changing the host's settings: in a process with network and
// mount namespaces of its own.
package netns
