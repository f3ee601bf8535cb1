package main

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: "ctkeeper version\n" +
			"ctkeeper version -o json",
		Annotations: exits{0: "printed"}.annotations(),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			doc := struct {
				API     status.API `json:"api"`
				Version string     `json:"version"`
				Go      string     `json:"go"`
				Arch    string     `json:"arch"`
			}{Version: version, Go: runtime.Version(), Arch: runtime.GOARCH}
			return a.printer().Document(doc, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "ctkeeper %s (%s, %s)\n", doc.Version, doc.Go, doc.Arch) // a buffer has no errors
			})
		},
	}
}
