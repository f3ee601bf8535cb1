package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ctkeeper/ctkeeper/host/buildinfo"
	"github.com/ctkeeper/ctkeeper/status"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and the Go that built it",
		Long: "ctkeeper --version prints the same. The running daemon may be older: " +
			"ctkeeper status -o json has its version.",
		Example: "ctkeeper version\n" +
			"ctkeeper version -o json",
		Annotations: exits{0: "printed", 1: "not printed"}.annotations(),
		RunE:        func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	build := buildinfo.Read(version)
	doc := struct {
		API status.API `json:"api"`
		buildinfo.Build
	}{Build: build}
	err := a.printer().Document(doc, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "ctkeeper", build) // a buffer has no errors
	})
	if err != nil {
		return failure{exitNo, err}
	}
	return nil
}
