package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// requireBootstrap returns an error if this host cannot make Debian roots.
func requireBootstrap() error {
	if os.Geteuid() != 0 {
		return errors.New("building a Debian root needs root: its files have the owners that they have on a host")
	}
	if err := require(map[string]string{"mmdebstrap": "mmdebstrap", "apt-get": "apt"}); err != nil {
		return err
	}
	if _, err := os.Stat(keyring); err != nil {
		return fmt.Errorf("missing on this host: run `sudo apt-get install -y debian-archive-keyring`: %w", err)
	}
	return nil
}

// bootstrap makes a root of the suite in a new directory, with packages and what they depend on.
func (s *suite) bootstrap(tree string, packages []string) error {
	args := []string{"--quiet", "--variant=minbase", "--architectures=amd64", "--format=directory",
		"--include=" + strings.Join(packages, ","), "--keyring=" + keyring}
	// The lists of sid expire after a week (Valid-Until). A host whose mirror is a snapshot has this option.
	expiry, err := output("apt-config", "dump", "--no-empty", "Acquire::Check-Valid-Until")
	if err != nil {
		return err
	}
	if expiry != "" {
		args = append(args, "--aptopt="+strings.TrimSpace(expiry))
	}
	if _, err := output("mmdebstrap", append(args, s.name, tree, s.mirror)...); err != nil {
		return fmt.Errorf("cannot build a %s root: %w", s.name, err)
	}
	return nil
}

// PrepareTree returns the directory of a Debian root with packages, from the cache or new. Nothing may write to it:
// its checksums are compared at each use. The files replace those of the packages.
func PrepareTree(suiteName string, packages []string, files map[string]string) (string, error) {
	if err := requireBootstrap(); err != nil {
		return "", err
	}
	c, err := openCache()
	if err != nil {
		return "", err
	}
	s, err := openSuite(c, suiteName)
	if err != nil {
		return "", err
	}
	release, err := s.release()
	if err != nil {
		return "", err
	}
	recipe := fmt.Sprintln("1 minbase", packages, files)
	dir, err := c.Entry("tree-"+suiteName, release, recipe, func(dir string) error {
		tree := filepath.Join(dir, "tree")
		if err := s.bootstrap(tree, packages); err != nil {
			return err
		}
		for name, content := range files {
			if err := writeFile(filepath.Join(tree, name), content); err != nil {
				return err
			}
		}
		return nil
	})
	return filepath.Join(dir, "tree"), err
}
