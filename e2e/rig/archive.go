package rig

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// writeArchive packs the files below dir into a cpio archive of the "newc" format, which the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst). cpio pads it to 512 bytes, so the kernel accepts
// several, one behind the other. Files keep owner and mode.
func writeArchive(dir, file string) error {
	cmd := exec.Command("sh", "-c",
		`find . -mindepth 1 -print0 | LC_ALL=C sort -z | cpio --null --create --format=newc --quiet >"$0"`, file)
	cmd.Dir = dir
	if _, err := outputOf(cmd); err != nil {
		return fmt.Errorf("cannot archive %s: %w", dir, err)
	}
	return nil
}

// writeFile writes a file with the directories above it.
func writeFile(file, content string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o644)
}

// writeLink makes a symbolic link with the directories above it.
func writeLink(file, target string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, file)
}
