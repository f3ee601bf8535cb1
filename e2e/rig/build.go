package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// require returns an error with the command that installs what is missing.
func require(tools map[string]string) error {
	var missing []string
	for tool, pkg := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on this host: run `sudo apt-get install -y %s`", strings.Join(missing, " "))
	}
	return nil
}

func output(name string, args ...string) (string, error) {
	return outputOf(exec.Command(name, args...))
}

// outputOf runs a command and returns its standard output; an error contains its standard error.
func outputOf(cmd *exec.Cmd) (string, error) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		name, text := filepath.Base(cmd.Path), strings.TrimSpace(errs.String())
		return out.String(), fmt.Errorf("cannot run %s: %w: %s", name, err, text)
	}
	return out.String(), nil
}

// Command runs a command in dir and returns its standard output. cgo is off, as for everything that runs in a guest.
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

// Install runs make build and make install of the program whose sources are in dir, with tree as DESTDIR.
func Install(dir, tree string) error {
	preparing.Lock()
	defer preparing.Unlock()
	if _, err := Command(dir, "make", "--no-print-directory", "build"); err != nil {
		return err
	}
	_, err := Command(dir, "make", "--no-print-directory", "install", "DESTDIR="+tree, "PREFIX=/usr")
	return err
}

// BuildHelpers compiles every C file of a directory and copies every script, both without their extension. C files
// are linked statically: the guest's C library need not be the host's.
func BuildHelpers(from, to string) error {
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
