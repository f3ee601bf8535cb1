// Package buildinfo reports how the running program was built: version, commit, Go. The version is the one that the
// linker was passed, or else that of the module, which a program of `go install MODULE@VERSION` has, and one that was
// built in a clone. Only the latter has the commit.
package buildinfo
