package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var r release
	var seconds int64
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	flags.StringVar(&r.version, "version", "", "version of the programs")
	flags.StringVar(&r.revision, "revision", "", "commit of the programs")
	flags.Int64Var(&seconds, "created", 0, "time of the commit, in seconds since 1970")
	flags.StringVar(&r.programs, "programs", "", "directory with the programs and SBOMs, by architecture")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.version == "" || r.programs == "" || flags.NArg() != 1 {
		return errors.New("usage: image -version V -revision COMMIT -created SECONDS -programs DIR LAYOUT")
	}
	r.created = time.Unix(seconds, 0).UTC()
	return write(r, flags.Arg(0))
}

// write writes a new layout, in place of an old one.
func write(r release, dir string) error {
	index, err := r.index()
	if err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	name := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": r.version})
	if err := path.AppendIndex(index, name); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}
