// Package klog reads the kernel's log: /dev/kmsg where it may be read, else the
// journal, else the log files of a disk or a collected tree; and follows it. It never
// takes anything away.
//
// It stands beside event → observe → diff → apply → record: the log proves why
// something did not work.
package klog
