// Package distro returns the commands that differ between distributions: how to install a package, which
// package has the kernel's modules, and how to change the kernel command line. It runs no command.
//
// It is beside event → observe → diff → apply → record: persist and doctor print or write what it returns.
package distro
