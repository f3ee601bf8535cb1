// Command bench measures a built ctkeeper on the kernel it runs on: the time
// from a foreign write to its repair beside a bare C program, the time from the
// module's load to all values right beside a udev rule, what a quiet daemon
// costs, and the time from its start to READY. `make bench` runs it inside the
// virtual machine, where everything can be measured, and in a private network
// namespace of this machine, where only the timeouts can be kept.
package main
