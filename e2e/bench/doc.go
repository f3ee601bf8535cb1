// Command bench measures a built ctkeeper on the running kernel:
//
//   - the time from a foreign write to its repair, beside a minimal C program;
//   - the time from the load of the module until all values are applied, beside a udev rule;
//   - what an idle daemon costs;
//   - the time from its start to READY.
//
// `make bench` runs it in the virtual machine, where everything can be measured, and in a private network namespace
// of this machine, where only timeouts are writable.
package main
