package debs

import (
	"os"
	"path/filepath"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// Build copies the working tree source to tree, changes the copy by edit, if it is not nil, and builds the packages of
// both programs there by `make packages`. It returns the directory of the packages, which is an archive for apt
// (see rig.WriteIndex).
func Build(source, tree, version string, edit func(tree string) error) (archive string, err error) {
	if err := Copy(source, tree); err != nil {
		return "", err
	}
	if edit != nil {
		if err := edit(tree); err != nil {
			return "", err
		}
	}
	if _, err := rig.Command(tree, "make", "packages", "VERSION="+version, "ARCHES=amd64", "FORMATS=deb"); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(tree, "dist", "*.deb"))
	archive = filepath.Join(tree, "dist", "archive")
	if err := os.Mkdir(archive, 0o755); err != nil {
		return "", err
	}
	for _, deb := range debs {
		if err := os.Rename(deb, filepath.Join(archive, filepath.Base(deb))); err != nil {
			return "", err
		}
	}
	return archive, rig.WriteIndex(archive)
}

// Copy copies a working tree. Files that git ignores, as those of an earlier build, are not copied.
func Copy(source, tree string) error {
	if err := os.MkdirAll(tree, 0o755); err != nil {
		return err
	}
	const copyFiles = `git ls-files -z --cached --others --exclude-standard |
		tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory="$0"`
	_, err := rig.Command(source, "sh", "-c", copyFiles, tree)
	return err
}
