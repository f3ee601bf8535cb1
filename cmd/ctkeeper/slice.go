package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/host/slice"
)

// slice is the command that ctkeeper.service runs as root when the daemon is up: the list of system calls that
// the daemon may make has no sched_setattr.
func (a *app) slice() *cobra.Command {
	return &cobra.Command{
		Use:    "slice PID",
		Short:  "Give a process a short scheduling slice, as ctkeeper.service does for the daemon",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil || pid <= 0 {
				return fmt.Errorf("%q is not a process id", args[0])
			}
			if err := slice.Shorten(pid); err != nil {
				return failure{exitNo, err}
			}
			return nil
		},
	}
}
