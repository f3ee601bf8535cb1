package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/host/priority"
)

// priority is the command that ctkeeper.service runs as root when the daemon is up: the list of system calls that
// the daemon may make has no sched_setattr.
func (a *app) priority() *cobra.Command {
	return &cobra.Command{
		Use:    "priority PID",
		Short:  "Let a process run soon after it was woken, as ctkeeper.service does for the daemon",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil || pid <= 0 {
				return fmt.Errorf("%q is not a process id", args[0])
			}
			if err := priority.Raise(pid); err != nil {
				return failure{exitNo, err}
			}
			return nil
		},
	}
}
