// Package picture reads a host once: its files, the running kernel, the firewall's rules and the
// kernel's log. Everything of doctor that reads a file, runs a program or looks at /proc is here;
// the checks of the topics read nothing but the picture.
package picture
