package main

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/document"
	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// TestTreeDocuments runs the commands of every document with the host tree. They see this machine, whose root file
// system they cannot change, and an empty /srv, in which they make their trees.
func TestTreeDocuments(t *testing.T) {
	const variable = "CTKEEPER_TEST_UPDATE" // -update, for the process in the namespaces
	if *update {
		t.Setenv(variable, "true")
	}
	if !netns.Enter(t) {
		return
	}
	isUpdate := os.Getenv(variable) != ""
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("cannot build ctkeeper: %v\n%s", err, out)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	var files []string
	for _, d := range readDocuments(t) {
		if d.Host == "tree" {
			files = append(files, d.File)
		}
	}
	if len(files) == 0 {
		t.Error("no document has the host tree")
	}
	mount(t, "", "/", "", unix.MS_REC|unix.MS_PRIVATE)
	writable := []string{os.TempDir()}
	if isUpdate {
		writable = append(writable, top)
	}
	for _, dir := range writable {
		mount(t, dir, dir, "", unix.MS_BIND)
	}
	mount(t, "", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY)
	mount(t, "tmpfs", "/srv", "tmpfs", 0)
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			document.Test(t, file, document.Shell{"sh", "-c"}, isUpdate)
		})
	}
}

func mount(t *testing.T, source, target, kind string, flags uintptr) {
	t.Helper()
	if err := unix.Mount(source, target, kind, flags, ""); err != nil {
		t.Fatalf("cannot mount %s: %v", target, err)
	}
}
