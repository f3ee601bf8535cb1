package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// enterOwnCgroups makes the guard of this run see no other cgroup of this machine: in this mount namespace a new
// cgroup replaces the whole cgroup v2 tree. In the virtual machine, which has nobody else, it does nothing. leave
// removes the cgroup.
func (b *bench) enterOwnCgroups() (leave func(), err error) {
	if b.module {
		return func() {}, nil
	}
	mount := ""
	for line := range strings.Lines(read("/proc/self/mountinfo")) {
		if f := strings.Fields(line); strings.Contains(line, " - cgroup2 ") && f[3] == "/" {
			mount = f[4]
		}
	}
	if mount == "" {
		return nil, errors.New("there is no cgroup v2 tree")
	}
	whole, err := os.Open(mount)
	if err != nil {
		return nil, err
	}
	name, own := filepath.Base(b.dir), filepath.Join(b.dir, "cgroup")
	if err := os.Mkdir(filepath.Join(mount, name), 0o755); err != nil {
		return nil, err
	}
	leave = func() {
		_ = unix.Unmount(own, unix.MNT_DETACH)
		_ = unix.Unlinkat(int(whole.Fd()), name, unix.AT_REMOVEDIR)
		_ = whole.Close()
	}
	err = errors.Join(os.Mkdir(own, 0o755), unix.Mount(filepath.Join(mount, name), own, "", unix.MS_BIND, ""))
	if err == nil {
		err = unix.Unmount(mount, unix.MNT_DETACH) // it is open here, so leave can still remove the cgroup
	}
	if err != nil {
		leave()
		return nil, fmt.Errorf("cannot enter a cgroup: %w", err)
	}
	return leave, nil
}
