// Package klog reads and follows the kernel's log: from /dev/kmsg if this process may read it, else from the
// journal, else from the log files of a disk or a collected tree. It never consumes a message.
//
// It is beside event → observe → diff → apply → record: the log is the evidence why something did not work.
package klog
