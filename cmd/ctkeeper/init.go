package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

func (a *app) initialize() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Print a whole configuration for this host, with reasons",
		Long: "Looks at the host and prints a " + config.DefaultMain + ": the values that the host's files set, " +
			"floors from the size of its memory for max and hashsize, where each value comes from and what it costs " +
			"in memory, and who else writes these settings. It changes nothing without --write.",
		Example: "ctkeeper init\n" +
			"ctkeeper init >draft.yaml && ctkeeper diff --config draft.yaml\n" +
			"ctkeeper init --write",
		Annotations: exits{
			0: "printed, and written with --write", 1: "not written: a configuration exists", 2: "nothing to read",
			78: "the configuration would be refused with this file",
		}.annotations(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.printInit(cmd, write) },
	}
	cmd.Flags().BoolVar(&write, "write", false, "write it to "+config.DefaultMain+" if that does not exist or has "+
		"only comments")
	return cmd
}

// printInit prints the configuration, and with write also writes it.
func (a *app) printInit(cmd *cobra.Command, write bool) error {
	host := a.host
	found := inventory.Read(host)
	made, refused := importer.Complete(host, found)
	if errors.Is(refused, importer.ErrNothingToRead) {
		return failure{exitUnknown, refused}
	}
	if err := a.printer().Import(made); err != nil {
		return failure{exitNo, err}
	}
	for _, trouble := range found.Troubles {
		made.Notes = append(made.Notes, trouble.Error())
	}
	text.ImportNotes(a.stderr, made.Notes)
	switch {
	case refused != nil:
		return failure{exitConfig, refused}
	case !write && a.root != "": // the command below is for the running system
		_, _ = fmt.Fprintln(a.stderr, "Nothing is written. Next: the same with --write")
		return nil
	case !write:
		_, _ = fmt.Fprintln(a.stderr, "Nothing is written. Next: ctkeeper init --write")
		return nil
	}
	// The daemon reads this directory, too, whatever the umask of the caller is.
	defer syscall.Umask(syscall.Umask(0o022))
	if err := made.WriteMain(host); err != nil {
		return failure{exitNo, err}
	}
	_, _ = fmt.Fprintln(a.stderr, "wrote", config.DefaultMain)
	if a.root != "" {
		return nil
	}
	next := "ctkeeper diff shows what it changes, systemctl enable --now ctkeeper applies it and keeps it applied"
	if _, err := status.NewClient(status.SocketPath(a.root)).Status(cmd.Context()); err == nil {
		next = "the daemon reads it now: ctkeeper status"
	}
	_, _ = fmt.Fprintln(a.stderr, "Next:", next)
	return nil
}
