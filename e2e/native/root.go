package native

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

// Suites are Debian's releases from 11 on, and what becomes the next one.
var Suites = []string{"bullseye", "bookworm", "trixie", "sid"}

// packages are in every root.
var packages = []string{"systemd", "systemd-sysv", "dbus", "kmod", "procps", "iproute2", "make"}

// files make a root that boots without a first-boot setup, and whose apt has no source on the network.
var files = map[string]string{
	"etc/machine-id":                            "0123456789abcdef0123456789abcdef\n",
	"etc/hostname":                              "debian\n",
	"etc/fstab":                                 "",
	"etc/apt/sources.list":                      "",
	"etc/apt/apt.conf.d/90native":               "APT::Get::Assume-Yes \"true\";\nDPkg::Use-Pty \"false\";\n",
	"etc/systemd/journald.conf.d/90native.conf": "[Journal]\nStorage=volatile\nRateLimitBurst=0\n",
	"etc/systemd/system.conf.d/90native.conf":   "[Manager]\nDefaultTimeoutStopSec=10s\n",
}

// prepared are the roots that this process has verified, by suite and packages.
var prepared = struct {
	sync.Mutex
	roots map[string]string
}{roots: map[string]string{}}

// prepareRoot returns the directory of a root, which nothing may write to.
func prepareRoot(suite string, packages []string) (string, error) {
	prepared.Lock()
	defer prepared.Unlock()
	key := fmt.Sprint(suite, packages)
	if root, ok := prepared.roots[key]; ok {
		return root, nil
	}
	root, err := rig.PrepareTree(suite, packages, files)
	if err == nil {
		prepared.roots[key] = root
	}
	return root, err
}

// buildBoot builds the program boot, once for a process. Its file has no name any more: only this process has it open,
// so that it ends with the process.
var buildBoot = sync.OnceValues(func() (*os.File, error) {
	dir, err := os.MkdirTemp("", "ctkeeper-boot-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "boot")
	_, err = rig.Command("", "go", "build", "-o", program, "github.com/ctkeeper/ctkeeper/e2e/native/boot")
	if err != nil {
		return nil, err
	}
	return os.Open(program)
})
