package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			doc := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				Arch    string `json:"arch"`
			}{version, runtime.Version(), runtime.GOARCH}
			return a.printer().Document(doc, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "ctkeeper %s (%s, %s)\n", doc.Version, doc.Go, doc.Arch) // a buffer takes everything
			})
		},
	}
}
