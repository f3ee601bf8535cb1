// Command runtests runs go test in several modules and prints what go test prints. It ends with what was skipped and
// why, and with the tools that this machine does not have and their Debian packages.
//
//	go run ./internal/runtests [-cc cc] [-norace "DIR..."] DIR... [-- FLAGS of go test]
package main
