package rig

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const sumsFile = "SHA256SUMS"

// A Cache is a directory of package lists, roots and kernels, which take long to make. An entry is a directory, which
// is complete or does not exist.
type Cache struct{ Dir string }

// openCache returns the cache in $CTKEEPER_E2E_CACHE, or else in ctkeeper-e2e of the user's cache directory.
func openCache() (Cache, error) {
	dir := os.Getenv("CTKEEPER_E2E_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return Cache{}, fmt.Errorf("cannot find a cache directory (set CTKEEPER_E2E_CACHE): %w", err)
		}
		dir = filepath.Join(base, "ctkeeper-e2e")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Cache{}, err
	}
	return Cache{Dir: dir}, os.MkdirAll(dir, 0o755)
}

// Entry returns the directory of an entry. It is built if it does not exist or if its checksums do not match. The
// recipe is the text that determines the result together with the version: if it changes, so does the name.
func (c Cache) Entry(kind, version, recipe string, build func(dir string) error) (string, error) {
	sum := sha256.Sum256([]byte(recipe))
	name := strings.Join([]string{kind, version, hex.EncodeToString(sum[:6])}, "-")
	dir := filepath.Join(c.Dir, strings.NewReplacer("/", "_", ":", "_").Replace(name))
	err := verify(dir)
	if err == nil {
		return dir, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "rig: building %s again: %v\n", filepath.Base(dir), err)
	}
	return dir, c.build(dir, build)
}

func (c Cache) build(dir string, build func(dir string) error) error {
	temp, err := os.MkdirTemp(c.Dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	// The commands that build a root read it as another user (_apt).
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	if err := build(temp); err != nil {
		return err
	}
	if err := writeSums(temp); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// writeSums writes the checksums of all files below dir.
func writeSums(dir string) error {
	var sums strings.Builder
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		sum, err := fileSum(file)
		rel, _ := filepath.Rel(dir, file)
		fmt.Fprintf(&sums, "%s  %s\n", sum, rel)
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(sums.String()), 0o644)
}

func verify(dir string) error {
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		got, err := fileSum(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("cannot verify: %w", err)
		}
		if got != want {
			return fmt.Errorf("checksum mismatch of %s", name)
		}
	}
	return nil
}

func fileSum(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
