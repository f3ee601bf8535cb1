package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

func (a *app) importer() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Print the configuration that says what this host's files say",
		Long: "Reads every place that sets nf_conntrack's values (sysctl.d, modprobe.d, udev rules, TuneD, kube-proxy, …),\n" +
			"and prints a drop-in that says the same, with the file and line that each value comes from.\n" +
			"It names the lines that the drop-in takes the place of, and deletes nothing.\n\n" +
			"Exit status: 0; 1 the configuration is refused, or would be with it, or it could not be written;\n" +
			"2 nothing is there to read.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.imported(write) },
	}
	cmd.Flags().BoolVar(&write, "write", false, "after printing it, put it in "+importer.DropInPath)
	return cmd
}

// imported prints the drop-in, and writes it where that is asked for.
func (a *app) imported(write bool) error {
	host := tree.At(a.root)
	found := inventory.Read(host)
	made, refused := importer.New(host, found)
	if errors.Is(refused, importer.ErrNothingToRead) {
		return failure{exitUnknown, refused}
	}
	for _, trouble := range found.Troubles {
		made.Notes = append(made.Notes, trouble.Error())
	}
	if err := a.printer().Import(made); err != nil {
		return failure{exitNo, err}
	}
	text.ImportNotes(a.stderr, made.Notes)
	if refused != nil {
		return failure{exitNo, refused}
	}
	if write && !made.Empty {
		if err := a.writeImport(host, made); err != nil {
			return failure{exitNo, err}
		}
	}
	text.ImportObsolete(a.stderr, made.Obsolete, write)
	return nil
}

func (a *app) writeImport(host tree.Tree, made importer.Import) error {
	// Directories that are made here are for the daemon too, whatever the umask is.
	defer syscall.Umask(syscall.Umask(0o022))
	changed, err := made.Write(host)
	switch {
	case err != nil:
		return err
	case changed:
		_, _ = fmt.Fprintln(a.stderr, "wrote", importer.DropInPath)
	default:
		_, _ = fmt.Fprintln(a.stderr, importer.DropInPath, "is up to date")
	}
	return nil
}
