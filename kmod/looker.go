package kmod

import (
	"bytes"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Looker looks at one module again and again, and gives what Look gives for less:
// a module that was seen live costs one pread(2) of its initstate, whose
// descriptor dies with this load of the module and does not pin it; one in the
// kernel image cannot go and costs nothing. It is not safe for several
// goroutines.
type Looker struct {
	root, name string
	last       Module
	initstate  *os.File
	fd         int
}

// NewLooker gives a Looker for a module of the system below root.
func NewLooker(root, name string) *Looker {
	if root == "/" {
		root = ""
	}
	return &Looker{root: root, name: name}
}

// Look tells the module's state.
func (l *Looker) Look() Module {
	if l.root != "" { // plain files do not die
		return Look(l.root, l.name)
	}
	if l.last.State == BuiltIn && l.last.Instance != 0 || l.live() {
		return l.last
	}
	l.close()
	// Opened before the look and live after it: the look saw this very load.
	file, err := os.Open(filepath.Join("/sys/module", l.name, "initstate"))
	if err == nil {
		l.initstate, l.fd = file, int(file.Fd())
	}
	l.last = Look(l.root, l.name)
	if l.last.State != Loaded || !l.live() {
		l.close()
	}
	return l.last
}

// live reports whether the load that initstate was opened in is still there.
func (l *Looker) live() bool {
	if l.initstate == nil {
		return false
	}
	var buf [16]byte
	n, err := unix.Pread(l.fd, buf[:], 0)
	return err == nil && bytes.Equal(bytes.TrimSpace(buf[:n]), []byte("live"))
}

func (l *Looker) close() {
	if l.initstate != nil {
		_ = l.initstate.Close() // it was only read
		l.initstate = nil
	}
}
