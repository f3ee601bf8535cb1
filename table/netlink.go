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
	// dumpTime limits a whole dump; 65536 expectations take a fifth of it.
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
	// errNotLoaded means that a request to ctnetlink would load its module.
	errNotLoaded = errors.New(netlinkModule + " is not loaded")
	errMalformed = errors.New("malformed netlink message")
)

// dumpExpectations counts the expectations by helper with a dump of ctnetlink, which needs CAP_NET_ADMIN. It
// counts the dump part by part: a whole one would fill the memory of the daemon.
//
// A request loads the module if it is not loaded (nfnetlink_rcv_msg asks for "nfnetlink-subsys-2"; the
// socket alone loads nfnetlink). So isReady is called before the socket is opened, and again right before
// the request. A module that is unloaded in the microseconds after that is loaded again. This cannot be
// prevented: an open socket pins only nfnetlink, and only a running dump pins nf_conntrack_netlink. The
// socket is closed at once, because it would keep nfnetlink from being unloaded.
func dumpExpectations(isReady func() bool) (map[string]int64, error) {
	if !isReady() {
		return nil, errNotLoaded
	}
	ctx, cancel := context.WithTimeout(context.Background(), dumpTime)
	defer cancel()
	conn, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER, "ctnetlink", nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing was written that could be lost
	if !isReady() {
		return nil, errNotLoaded
	}
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if _, err := conn.Sendmsg(ctx, expectationsRequest(), nil, kernel, 0); err != nil {
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

// expectationsRequest returns a request for all expectations of this network namespace, of any address
// family: a header (netlink(7)) and struct nfgenmsg.
func expectationsRequest() []byte {
	request := make([]byte, 0, unix.NLMSG_HDRLEN+sizeofNfgenmsg)
	request = binary.NativeEndian.AppendUint32(request, unix.NLMSG_HDRLEN+sizeofNfgenmsg)
	request = binary.NativeEndian.AppendUint16(request, getExpectations)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	return append(request, make([]byte, 8+sizeofNfgenmsg)...) // sequence, port; AF_UNSPEC, version 0
}

// countExpectations counts the expectations in one part of a dump. done is true after the last part; the
// error is the kernel's errno, or errMalformed.
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
			return true, parseResult(message)
		case newExpectation:
			name, ok := parseHelper(message)
			if !ok {
				return false, errMalformed
			}
			helpers[name]++
		}
		part = part[min(len(part), int(size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return false, nil
}

// parseResult parses the result of a dump: a negative errno, or 0.
func parseResult(message []byte) error {
	if len(message) < 4 {
		return errMalformed
	}
	if code := int32(binary.NativeEndian.Uint32(message)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

// parseHelper returns the helper in an expectation's attributes, "" if it has none
// (ctnetlink_exp_dump_expect).
func parseHelper(message []byte) (string, bool) {
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

// isCtnetlinkReady reports whether a request to ctnetlink of a host loads nothing: its module
// is loaded, or this kernel has no modules at all. In a kernel with modules, a built-in ctnetlink cannot be
// distinguished from an absent one: it has no parameters, hence no directory in sysfs.
func isCtnetlinkReady(t tree.Tree) bool {
	if !t.Live() {
		return false
	}
	if kmod.Observe(t, netlinkModule).State != kmod.Absent {
		return true
	}
	return isModuleless(t)
}

// isModuleless reports whether the kernel was built without modules: kernel/sysctl.c and kernel/module then
// have no files.
func isModuleless(t tree.Tree) bool {
	return t.Exists("/proc/sys/kernel/osrelease") && t.Exists("/proc/net") &&
		!t.Exists("/proc/sys/kernel/modprobe") && !t.Exists("/proc/modules")
}

// ExpectationsByHelper counts the expectations of a host by helper: "sip", or "sip-1" for a
// helper on a port of its own, or "" if the kernel shows none. It reads /proc/net/nf_conntrack_expect, which
// only root may read. If it cannot, it uses ctnetlink for a second at most; that needs CAP_NET_ADMIN and
// nf_conntrack_netlink loaded already. The time of both grows with the expectations, some 3 ms for a
// thousand: see Sampler. The error is fs.ErrNotExist if the module is absent or the kernel has no such file,
// and fs.ErrPermission if a capability is missing.
func ExpectationsByHelper(host tree.Tree) (map[string]int64, error) {
	helpers, err := readExpectations(host)
	if err == nil {
		return helpers, nil
	}
	helpers, dumpErr := dumpExpectations(func() bool { return isCtnetlinkReady(host) })
	switch {
	case dumpErr == nil:
		return helpers, nil
	case errors.Is(dumpErr, errNotLoaded):
		return nil, err
	}
	return nil, fmt.Errorf("%w; ctnetlink: %w", err, dumpErr)
}
