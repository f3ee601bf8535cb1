// Package ground reports what the host's files cannot do: lines that nothing reads or runs, sysctl keys that
// this kernel does not have, and what is different on a host that is a container or makes its own files.
package ground
