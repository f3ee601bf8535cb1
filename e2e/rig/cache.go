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

// A Cache keeps what takes long to make: package lists, roots and kernels. An
// entry is a directory that appears whole or not at all.
type Cache struct{ Dir string }

// OpenCache gives the cache in $CTKEEPER_E2E_CACHE, or ctkeeper-e2e in the
// user's cache directory.
func OpenCache() (Cache, error) {
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

// Entry gives the directory of an entry, made by build when it is not there or
// when its sums do not fit any more. The recipe is whatever text determines the
// result beside the version: when it changes, so does the name.
func (c Cache) Entry(kind, version, recipe string, build func(dir string) error) (string, error) {
	sum := sha256.Sum256([]byte(recipe))
	dir := filepath.Join(c.Dir, kind+"-"+strings.NewReplacer("/", "_", ":", "_").Replace(version)+"-"+hex.EncodeToString(sum[:6]))
	err := verify(dir)
	if err == nil {
		return dir, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "rig: making %s again: %v\n", filepath.Base(dir), err)
	}
	return dir, c.make(dir, build)
}

func (c Cache) make(dir string, build func(dir string) error) error {
	temp, err := os.MkdirTemp(c.Dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	if err := build(temp); err != nil {
		return err
	}
	if err := seal(temp); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(temp, dir)
}

// seal writes the sums of all files below dir.
func seal(dir string) error {
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
			return fmt.Errorf("%s is not what was built", name)
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
