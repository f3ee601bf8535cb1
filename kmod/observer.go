package kmod

import (
	"bytes"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Observer observes one module repeatedly, at a lower cost than [Observe]. A module that was live
// costs one pread(2) of its initstate: the descriptor becomes invalid when this load of the module ends,
// and does not pin the module. A module in the kernel image cannot be unloaded and costs nothing. An
// Observer is not safe for concurrent use.
type Observer struct {
	host      tree.Tree
	name      string
	last      Module
	initstate *os.File
	fd        int
}

// NewObserver returns an Observer of a module of a host.
func NewObserver(host tree.Tree, name string) *Observer { return &Observer{host: host, name: name} }

// Observe returns the module's state.
func (o *Observer) Observe() Module {
	if !o.host.Live() { // descriptors of plain files stay valid
		return Observe(o.host, o.name)
	}
	if o.last.State == BuiltIn && o.last.Instance != 0 || o.isLive() {
		return o.last
	}
	o.close()
	// The file is opened before Observe and live after it: Observe has read this load of the module.
	file, err := os.Open(o.host.Real(filepath.Join(sysModule, o.name, "initstate")))
	if err == nil {
		o.initstate, o.fd = file, int(file.Fd())
	}
	o.last = Observe(o.host, o.name)
	if o.last.State != Loaded || !o.isLive() {
		o.close()
	}
	return o.last
}

// isLive reports whether the load in which initstate was opened is still in the kernel.
func (o *Observer) isLive() bool {
	if o.initstate == nil {
		return false
	}
	var buf [16]byte
	n, err := unix.Pread(o.fd, buf[:], 0)
	return err == nil && bytes.Equal(bytes.TrimSpace(buf[:n]), []byte("live"))
}

func (o *Observer) close() {
	if o.initstate != nil {
		_ = o.initstate.Close() // it was only read
		o.initstate = nil
	}
}
