// Package meminfo reads how much memory the host has (proc_meminfo(5)).
package meminfo
