// Package buildinfo tells how the running program was built: version, commit, Go. The version is the one that the
// linker was given, or else that of the module, which Go knows of a program of `go install MODULE@VERSION` and of one
// that was built in a clone. The commit is known of the latter only.
package buildinfo
