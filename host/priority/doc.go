// Package priority makes a process run soon after it was woken, so that a repair does not wait for the process
// that made it necessary, or for others. Its threads get a short slice: a thread with a short slice that wakes up
// runs before one with a long slice that is running (EEVDF, Linux 6.12 and later, sched_setattr(2)). And they get
// a nice value below 0, where the caller may set one. Neither is real time: no other thread starves.
package priority
