// Command ctkeeper keeps a Linux host's connection-tracking settings.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, exitAtNextSignal)
	status := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// exitAtNextSignal ends the process at the next signal, whatever runs. The default action would not: the
// kernel ignores it for the first process of a container (pid_namespaces(7)).
func exitAtNextSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if number, ok := (<-signals).(syscall.Signal); ok {
		os.Exit(128 + int(number)) // as a shell shows a process that a signal ended
	}
}
