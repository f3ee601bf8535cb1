// Package rawio makes raw system calls for files in /proc and /sys: the scheduler of the Go runtime is not
// told of them. Its monitor thread (sysmon) then sleeps on, and the caller keeps its processor. That is right
// only for calls that do not block, because a blocked one would stop the garbage collector: the value of a
// sysctl, not a log, a pipe, or a hash table to fill.
package rawio
