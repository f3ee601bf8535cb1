// Package alarm is a clock for one goroutine that sleeps most of the time, by a timer of the kernel
// (timerfd_create(2)). A timer of the Go runtime costs two wake-ups more each time: of the runtime's monitor
// thread (sysmon), which sleeps only while no such timer is set.
package alarm
