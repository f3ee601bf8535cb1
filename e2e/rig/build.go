package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Command runs a command in dir with cgo off, as everything that goes into a
// guest is built, and gives its standard output.
func Command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := outputOf(cmd)
	if err != nil {
		return out, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return out, nil
}

// Install has make install the program whose sources are in dir below tree.
func Install(dir, tree string) error {
	_, err := Command(dir, "make", "--no-print-directory", "install", "DESTDIR="+tree, "PREFIX=/usr")
	return err
}

// Helpers builds every C file of a directory statically, as the guest's C
// library need not be the host's, and copies the scripts, both without their
// extension.
func Helpers(from, to string) error {
	if err := require(map[string]string{"gcc": "gcc libc6-dev"}); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	sources, err := filepath.Glob(filepath.Join(from, "*.*"))
	if err != nil {
		return err
	}
	for _, source := range sources {
		name, kind, _ := strings.Cut(filepath.Base(source), ".")
		target := filepath.Join(to, name)
		switch kind {
		case "c":
			_, err = Command(".", "gcc", "-O2", "-Wall", "-Werror", "-static", "-o", target, source)
		case "sh":
			_, err = Command(".", "install", "-m", "755", source, target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
