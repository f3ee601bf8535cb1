package kmod

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// kernelGroup is the multicast group to which the kernel sends; udevd sends to group 2.
	kernelGroup = 1
	// receiveBuffer holds about a thousand uevents, in bytes.
	receiveBuffer = 1 << 20
	// maxUevent, in bytes, is UEVENT_BUFFER_SIZE and space for the header.
	maxUevent = 4096
)

// Watcher receives the uevents of modules from the kernel (netlink(7), NETLINK_KOBJECT_UEVENT). It
// needs no capability.
type Watcher struct {
	conn  *socket.Conn
	names []string
}

// NewWatcher opens a socket for the uevents of the named modules. Run receives those sent from now on.
func NewWatcher(names ...string) (*Watcher, error) {
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_KOBJECT_UEVENT, "uevent", nil)
	if err != nil {
		return nil, fmt.Errorf("cannot listen for uevents: %w", err)
	}
	w := &Watcher{conn: conn, names: names}
	if err := w.listen(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot listen for uevents: %w", err), conn.Close())
	}
	return w, nil
}

func (w *Watcher) listen() error {
	// The filter avoids a wake-up for every other uevent of the host, and the larger buffer holds a
	// burst. The watcher is correct without either.
	filter, err := bpf.Assemble(moduleFilter())
	if err != nil {
		return err
	}
	_ = w.conn.SetBPF(filter)
	_ = w.conn.SetReadBuffer(receiveBuffer)
	return w.conn.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup})
}

// Run calls onChange for every uevent of a watched module until ctx ends or the socket fails. overflow
// is true if uevents were lost (ENOBUFS, MSG_TRUNC): the caller must then observe everything.
func (w *Watcher) Run(ctx context.Context, onChange func(overflow bool)) error {
	buf := make([]byte, maxUevent)
	for {
		n, _, flags, from, err := w.conn.Recvmsg(ctx, buf, nil, 0)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			onChange(true)
		case err != nil:
			return fmt.Errorf("cannot receive uevents: %w", err)
		case !isFromKernel(from):
		case flags&unix.MSG_TRUNC != 0:
			onChange(true)
		default:
			if event, ok := ParseUevent(buf[:n]); ok && slices.Contains(w.names, event.Module) {
				onChange(false)
			}
		}
	}
}

// Close closes the socket.
func (w *Watcher) Close() error { return w.conn.Close() }

// isFromKernel reports whether the kernel sent a message to its own group. Root can multicast to that
// group too, but only the kernel has port id 0.
func isFromKernel(from unix.Sockaddr) bool {
	addr, ok := from.(*unix.SockaddrNetlink)
	return ok && addr.Pid == 0 && addr.Groups == 1<<(kernelGroup-1)
}

// moduleFilter returns a classic BPF program that passes the messages that begin like a module's
// uevent, and drops the others.
func moduleFilter() []bpf.Instruction {
	const pass, drop = 1 << 16, 0
	var program []bpf.Instruction
	for _, prefix := range []string{"add@/module/", "remove@/modu"} {
		for at := 0; at < len(prefix); at += 4 {
			rest := uint8(len(prefix)-at)/4*2 - 1 // the instructions left of this prefix, with its verdict
			program = append(program,
				bpf.LoadAbsolute{Off: uint32(at), Size: 4},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32([]byte(prefix[at:])), SkipFalse: rest})
		}
		program = append(program, bpf.RetConstant{Val: pass})
	}
	return append(program, bpf.RetConstant{Val: drop})
}
