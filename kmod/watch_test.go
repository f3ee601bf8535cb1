package kmod

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// run runs w until the test ends, and gives what it says: one word for each
// call, whether it was an overflow.
func run(t *testing.T, w *Watcher) <-chan bool {
	t.Helper()
	heard, ended := make(chan bool, 1<<16), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- w.Run(ctx, func(overflow bool) { heard <- overflow }) }()
	t.Cleanup(func() {
		began := time.Now()
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Run took %s to end", took)
		}
	})
	return heard
}

func listen(t *testing.T, modules ...string) *Watcher {
	t.Helper()
	w, err := NewWatcher(modules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func hear(t *testing.T, heard <-chan bool) (overflow bool) {
	t.Helper()
	select {
	case overflow = <-heard:
	case <-time.After(patience):
		t.Fatal("the uevent was not heard")
	}
	return overflow
}

func ueventSocket(t *testing.T) int {
	t.Helper()
	socket, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	return socket
}

// forge multicasts a message to those who listen to the kernel. It is what root
// can do, and it carries the sender's port id.
func forge(t *testing.T, socket int, message []byte) {
	t.Helper()
	if err := unix.Sendto(socket, message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}); err != nil {
		t.Fatal(err)
	}
}

// relay has the kernel itself send a message, from port id 0, to those who
// listen in this network namespace (uevent_net_rcv_skb, since Linux 4.18).
func relay(t *testing.T, socket int, message []byte) {
	t.Helper()
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(message)))
	request = binary.NativeEndian.AppendUint16(request, unix.NLMSG_MIN_TYPE)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST)
	request = append(request, make([]byte, 8)...) // sequence number and port id
	if err := unix.Sendto(socket, append(request, message...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
}

// Messages come in order: had one been heard that must not, it would have been
// heard before the one that follows.
func TestWatcherHearsTheKernelAlone(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	heard := run(t, listen(t, Conntrack, "nf_defrag_ipv6"))
	socket := ueventSocket(t)
	for _, action := range []string{"add", "remove"} {
		forge(t, socket, moduleEvent(action, Conntrack))
		forge(t, socket, append(moduleEvent(action, Conntrack), make([]byte, 2*maxUevent)...))
		relay(t, socket, moduleEvent(action, "nf_conntrack_ftp"))
		relay(t, socket, moduleEvent(action, "e1000"))
		relay(t, socket, message("change@/module/"+Conntrack, "ACTION=change", "DEVPATH=/module/"+Conntrack, "SUBSYSTEM=module"))
	}
	for _, name := range []string{Conntrack, "nf_defrag_ipv6"} {
		for _, action := range []string{"add", "remove"} {
			relay(t, socket, moduleEvent(action, name))
			if hear(t, heard) {
				t.Errorf("%s of %s is called an overflow", action, name)
			}
			if len(heard) > 0 {
				t.Errorf("%d events too many were heard", len(heard))
			}
		}
	}
}

// More events than the socket's buffer takes, while nobody listens.
func TestWatcherSaysThatItLostUevents(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	w := listen(t, Conntrack)
	socket := ueventSocket(t)
	const storm = 20000
	for range storm {
		relay(t, socket, moduleEvent("add", Conntrack))
	}
	heard := run(t, w)
	for events := 0; !hear(t, heard); events++ {
		if events == storm {
			t.Fatal("every event was heard, and none was lost")
		}
	}
	hear(t, heard) // and it goes on listening
}

func TestWatcherEndsQuickly(t *testing.T) {
	run(t, listen(t, Conntrack)) // see run
}

func TestWatcherEndsWhenClosed(t *testing.T) {
	w, err := NewWatcher(Conntrack)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Run(t.Context(), func(bool) {}); err == nil {
		t.Error("Run on a closed socket ends without an error")
	}
}
