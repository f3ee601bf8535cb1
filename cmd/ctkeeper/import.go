package main

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

func (a *app) importer() *cobra.Command {
	var write bool
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Print a drop-in with the values that other files set",
		Long: "Reads every place that sets nf_conntrack's values (sysctl.d, modprobe.d, udev rules, TuneD, " +
			"kube-proxy, …) and prints a drop-in with the same values, each with its file and line. " +
			"It lists the lines that the drop-in replaces, and deletes nothing.",
		Example: "ctkeeper import\n" +
			"ctkeeper import --write  # also write it to conf.d",
		Annotations: exits{
			0: "printed", 1: "not written", 2: "nothing to read",
			78: "the configuration is refused, or would be with the drop-in",
		}.readsConfig(),
		RunE: func(*cobra.Command, []string) error {
			if a.configSet() {
				return errors.New("import makes a drop-in, and with --config no drop-in is read: leave --config out")
			}
			return a.printImport(write)
		},
	}
	cmd.Flags().BoolVar(&write, "write", false, "after printing the drop-in write it to "+importer.DropInPath)
	return cmd
}

// printImport prints the drop-in, and with write also writes it.
func (a *app) printImport(write bool) error {
	host := a.host
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
		return failure{exitConfig, refused}
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
	// The daemon reads these directories, too, whatever the umask of the caller is.
	defer syscall.Umask(syscall.Umask(0o022))
	// Other errors are no obstacle: the drop-in was checked together with the other files.
	if _, err := a.loadToWrite(); errors.Is(err, config.ErrUntrusted) {
		return err
	}
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
