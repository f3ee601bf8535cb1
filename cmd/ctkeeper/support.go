package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/explain/support"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

// supportTimeout is how long collecting may take.
const supportTimeout = 2 * time.Minute

func (a *app) support() *cobra.Command {
	file := ""
	cmd := &cobra.Command{
		Use:   "support",
		Short: "Collect what a bug report needs in one archive",
		Long: "Writes ctkeeper-support-HOST-TIME.tar.gz, which only you can read, into the current directory: " +
			"configuration, status, diff, doctor, history, the unit and its journal, the kernel's values and " +
			"modules, versions. Values that look like secrets are left out; README.txt in the archive lists what " +
			"else is. Run it as root, who can read everything. It changes nothing and sends nothing: review the " +
			"archive before you send it.",
		Example: "ctkeeper support\n" +
			"ctkeeper support -O - | tar -tz  # only list what it would hold",
		Annotations: exits{0: "written; parts that could not be read are named", 1: "not written"}.readsConfig(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.writeSupport(cmd.Context(), file)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "O", "", "write to `FILE`, which must not exist; - is standard output")
	return cmd
}

// writeSupport writes the archive and prints what is in it.
func (a *app) writeSupport(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, supportTimeout)
	defer cancel()
	now := time.Now()
	host, err := os.Hostname()
	if err != nil || a.root != "" {
		host = "tree" // its name may be another one
	}
	name := fmt.Sprintf("ctkeeper-support-%s-%s", path.Base(host), now.UTC().Format("20060102-150405"))
	out, list := io.Writer(a.stdout), a.stderr
	if file != "-" {
		if file == "" {
			file = name + ".tar.gz"
		}
		// Never through a link that somebody else made in a directory that all can write.
		opened, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return failure{exitNo, fmt.Errorf("cannot write the archive: %w", err)}
		}
		defer func() { _ = opened.Close() }() // Close below has the error
		out, list = opened, a.stdout
	}
	entries, err := support.Write(ctx, out, name, now, a.supportParts())
	if opened, isFile := out.(*os.File); isFile && file != "-" {
		if closing := opened.Close(); err == nil {
			err = closing
		}
		if err != nil {
			_ = os.Remove(file) // half an archive is of no use
		}
	}
	if err != nil {
		return failure{exitNo, err}
	}
	printer := a.printer()
	printer.Out = list
	if err := printer.Support(text.Support{File: file, Files: entries}); err != nil {
		return failure{exitNo, err}
	}
	return nil
}
