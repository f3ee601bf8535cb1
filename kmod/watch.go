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
	// kernelGroup is the multicast group on which the kernel itself speaks;
	// udevd speaks on group 2.
	kernelGroup = 1
	// receiveBuffer holds about a thousand uevents, in bytes.
	receiveBuffer = 1 << 20
	// maxUevent is UEVENT_BUFFER_SIZE with room for the header, in bytes.
	maxUevent = 4096
)

// Watcher hears modules come and go on the kernel's uevent socket (netlink(7),
// NETLINK_KOBJECT_UEVENT). It needs no rights.
type Watcher struct {
	conn  *socket.Conn
	names []string
}

// NewWatcher listens for the modules named. Events from this moment on are
// delivered by Run.
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
	// The filter spares a wake-up for every other uevent of the host, and the
	// larger buffer outlives a storm; neither is needed to be right.
	filter, err := bpf.Assemble(moduleFilter())
	if err != nil {
		return err
	}
	_ = w.conn.SetBPF(filter)
	_ = w.conn.SetReadBuffer(receiveBuffer)
	return w.conn.Bind(&unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup})
}

// Run calls moved for every uevent of a watched module until ctx ends or the
// socket fails. overflow is true where uevents were lost (ENOBUFS, MSG_TRUNC):
// anything may have happened, so everything has to be looked at.
func (w *Watcher) Run(ctx context.Context, moved func(overflow bool)) error {
	buf := make([]byte, maxUevent)
	for {
		n, _, flags, from, err := w.conn.Recvmsg(ctx, buf, nil, 0)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, unix.ENOBUFS):
			moved(true)
		case err != nil:
			return fmt.Errorf("cannot receive uevents: %w", err)
		case !fromKernel(from):
		case flags&unix.MSG_TRUNC != 0:
			moved(true)
		default:
			if event, ok := ParseUevent(buf[:n]); ok && slices.Contains(w.names, event.Module) {
				moved(false)
			}
		}
	}
}

// Close ends the watch.
func (w *Watcher) Close() error { return w.conn.Close() }

// fromKernel reports whether a message was sent by the kernel to its own group.
// Root can multicast there too, but only the kernel has port id 0.
func fromKernel(from unix.Sockaddr) bool {
	addr, ok := from.(*unix.SockaddrNetlink)
	return ok && addr.Pid == 0 && addr.Groups == 1<<(kernelGroup-1)
}

// moduleFilter is a classic BPF program that passes messages that begin like a
// module's uevent and drops the rest.
func moduleFilter() []bpf.Instruction {
	const pass, drop = 1 << 16, 0
	var program []bpf.Instruction
	for _, prefix := range []string{"add@/module/", "remove@/modu"} {
		for at := 0; at < len(prefix); at += 4 {
			rest := uint8(len(prefix)-at)/4*2 - 1 // what is left of this prefix, its verdict included
			program = append(program,
				bpf.LoadAbsolute{Off: uint32(at), Size: 4},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32([]byte(prefix[at:])), SkipFalse: rest})
		}
		program = append(program, bpf.RetConstant{Val: pass})
	}
	return append(program, bpf.RetConstant{Val: drop})
}
