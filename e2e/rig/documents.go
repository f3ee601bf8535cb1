package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Documents is the guest's directory with the documents, as in the repository.
const Documents = "/root/ctkeeper"

// UpdatedMark begins a line that the guest logs: the path of a document and its new text in base64.
const UpdatedMark = "UPDATED "

// Packages makes the Debian packages of the program whose sources are in dir, and links them into the directory to,
// which it returns.
func Packages(dir, to string) (string, error) {
	if _, err := Command(dir, "make", "--no-print-directory", "packages", "ARCHES=amd64", "FORMATS=deb"); err != nil {
		return "", err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return "", err
	}
	for _, name := range []string{"ctkeeper", "ctkeeper-exporter"} {
		newest, err := newestFile(filepath.Join(dir, "dist", name+"_*_amd64.deb"))
		if err != nil {
			return "", err
		}
		if _, err := output("cp", newest, to); err != nil {
			return "", err
		}
	}
	return to, nil
}

// newestFile returns the file of a pattern that was written last.
func newestFile(pattern string) (string, error) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no file %s: %w", pattern, err)
	}
	return slices.MaxFunc(files, func(a, b string) int {
		one, err1 := os.Stat(a)
		other, err2 := os.Stat(b)
		if err1 != nil || err2 != nil {
			return 0
		}
		return one.ModTime().Compare(other.ModTime())
	}), nil
}
