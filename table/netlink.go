package table

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/socket"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/kmod"
)

const (
	netlinkModule = "nf_conntrack_netlink"
	// dumpTime is for all of a dump; 65536 expectations take a fifth of it.
	dumpTime = time.Second
	// maxDatagram is the longest part of a dump (netlink_dump).
	maxDatagram = 32 << 10

	// Of linux/netfilter/nfnetlink.h and nfnetlink_conntrack.h.
	getExpectations = 2<<8 | 1 // NFNL_SUBSYS_CTNETLINK_EXP, IPCTNL_MSG_EXP_GET
	newExpectation  = 2 << 8   // IPCTNL_MSG_EXP_NEW
	sizeofNfgenmsg  = 4
	attrHelpName    = 6 // CTA_EXPECT_HELP_NAME
)

var (
	// errNotLoaded is ctnetlink that could not answer without being loaded for it.
	errNotLoaded = errors.New(netlinkModule + " is not loaded")
	errMalformed = errors.New("malformed netlink message")
)

// dumpExpectations counts the expectations by helper as ctnetlink lists them, which
// needs CAP_NET_ADMIN. The answer is counted part by part: a whole dump would fill the
// memory that the daemon may have.
//
// A request for what is not loaded loads it (nfnetlink_rcv_msg asks for
// "nfnetlink-subsys-2"; the socket alone would load nfnetlink). So ready is asked before
// the socket and once more right before the request: a module that is unloaded in the
// microseconds after that comes back. Nothing can be held against that: an open socket
// pins nfnetlink only, and only a dump that runs pins nf_conntrack_netlink. For the same
// reason the socket is closed at once: it would keep nfnetlink from being unloaded.
func dumpExpectations(ready func() bool) (map[string]int64, error) {
	if !ready() {
		return nil, errNotLoaded
	}
	ctx, cancel := context.WithTimeout(context.Background(), dumpTime)
	defer cancel()
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER, "ctnetlink", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing is lost with it
	if !ready() {
		return nil, errNotLoaded
	}
	if _, err := conn.Sendmsg(ctx, expectationsRequest(), nil, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}, 0); err != nil {
		return nil, err
	}
	helpers := map[string]int64{}
	buffer := make([]byte, maxDatagram)
	for {
		n, _, flags, from, err := conn.Recvmsg(ctx, buffer, nil, 0)
		if err != nil {
			return nil, err
		}
		if flags&unix.MSG_TRUNC != 0 {
			return nil, errMalformed
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // not the kernel
		}
		if done, err := countExpectations(buffer[:n], helpers); done || err != nil {
			return helpers, err
		}
	}
}

// expectationsRequest asks for every expectation of this network namespace, of any
// address family: a header (netlink(7)) and struct nfgenmsg.
func expectationsRequest() []byte {
	request := make([]byte, 0, unix.NLMSG_HDRLEN+sizeofNfgenmsg)
	request = binary.NativeEndian.AppendUint32(request, unix.NLMSG_HDRLEN+sizeofNfgenmsg)
	request = binary.NativeEndian.AppendUint16(request, getExpectations)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	return append(request, make([]byte, 8+sizeofNfgenmsg)...) // sequence, port; AF_UNSPEC, version 0
}

// countExpectations counts the expectations in one part of a dump. It is done with the
// last; the error is the kernel's errno, or errMalformed.
func countExpectations(part []byte, helpers map[string]int64) (done bool, err error) {
	for len(part) > 0 {
		if len(part) < unix.NLMSG_HDRLEN {
			return false, errMalformed
		}
		size := binary.NativeEndian.Uint32(part)
		if size < unix.NLMSG_HDRLEN || uint64(size) > uint64(len(part)) {
			return false, errMalformed
		}
		message := part[unix.NLMSG_HDRLEN:size]
		switch binary.NativeEndian.Uint16(part[4:]) {
		case unix.NLMSG_DONE, unix.NLMSG_ERROR:
			return true, answer(message)
		case newExpectation:
			name, ok := helpName(message)
			if !ok {
				return false, errMalformed
			}
			helpers[name]++
		}
		part = part[min(len(part), int(size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return false, nil
}

// answer is how a dump ended: an errno below zero, or 0.
func answer(message []byte) error {
	if len(message) < 4 {
		return errMalformed
	}
	if code := int32(binary.NativeEndian.Uint32(message)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

// helpName finds the helper's name among an expectation's attributes; "" where it has
// none (ctnetlink_exp_dump_expect).
func helpName(message []byte) (string, bool) {
	if len(message) < sizeofNfgenmsg {
		return "", false
	}
	for attrs := message[sizeofNfgenmsg:]; len(attrs) > 0; {
		if len(attrs) < unix.SizeofNlAttr {
			return "", false
		}
		size := int(binary.NativeEndian.Uint16(attrs))
		if size < unix.SizeofNlAttr || size > len(attrs) {
			return "", false
		}
		if binary.NativeEndian.Uint16(attrs[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == attrHelpName {
			name, _, _ := bytes.Cut(attrs[unix.SizeofNlAttr:size], []byte{0})
			return string(name), true
		}
		attrs = attrs[min(len(attrs), (size+unix.NLA_ALIGNTO-1)&^(unix.NLA_ALIGNTO-1)):]
	}
	return "", true
}

// ctnetlinkReady reports whether ctnetlink of the system below root can be asked without
// loading anything: its module is loaded, or this kernel knows no modules at all. One that
// is part of a kernel with modules cannot be told from one that is absent: it has no
// parameters, hence no directory in sysfs.
func ctnetlinkReady(root string) bool {
	t := tree.At(root)
	if !t.Live() {
		return false
	}
	if kmod.Observe(root, netlinkModule).State != kmod.Absent {
		return true
	}
	return withoutModules(t)
}

// withoutModules reports whether the kernel was built without modules: kernel/sysctl.c
// and kernel/module then have no files.
func withoutModules(t tree.Tree) bool {
	return t.Exists("/proc/sys/kernel/osrelease") && t.Exists("/proc/net") &&
		!t.Exists("/proc/sys/kernel/modprobe") && !t.Exists("/proc/modules")
}

// ExpectationsByHelper counts the expectations of the system below root by the helper
// that made them: "sip", or "sip-1" for a helper on a port of its own; "" where the kernel
// shows none. It reads /proc/net/nf_conntrack_expect, which only root may read; where it
// cannot, it asks ctnetlink, with CAP_NET_ADMIN and only where nf_conntrack_netlink is
// loaded already, for a second at most. Both take time that grows with the expectations,
// some 3 ms for a thousand: see Sampler. The error is fs.ErrNotExist where the module is
// absent or the kernel has no such file, fs.ErrPermission without the rights.
func ExpectationsByHelper(root string) (map[string]int64, error) {
	helpers, err := listedExpectations(root)
	if err == nil {
		return helpers, nil
	}
	ready := func() bool { return ctnetlinkReady(root) }
	helpers, dumpErr := dumpExpectations(ready)
	switch {
	case dumpErr == nil:
		return helpers, nil
	case errors.Is(dumpErr, errNotLoaded):
		return nil, err
	}
	return nil, fmt.Errorf("%w; nor by ctnetlink: %w", err, dumpErr)
}
