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

// patience is how long a test waits for an expected uevent.
const patience = 10 * time.Second

// run runs w until the test ends. The channel receives the overflow argument of each call.
func run(t *testing.T, w *Watcher) <-chan bool {
	t.Helper()
	received, ended := make(chan bool, 1<<16), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- w.Run(ctx, func(overflow bool) { received <- overflow }) }()
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
	return received
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

func receive(t *testing.T, received <-chan bool) (overflow bool) {
	t.Helper()
	select {
	case overflow = <-received:
	case <-time.After(patience):
		t.Fatal("no uevent was received")
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

// forge multicasts a message to the listeners of the kernel's group, as root can. It carries the
// sender's port id.
func forge(t *testing.T, socket int, message []byte) {
	t.Helper()
	group := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: kernelGroup}
	if err := unix.Sendto(socket, message, 0, group); err != nil {
		t.Fatal(err)
	}
}

// relay makes the kernel send a message, with port id 0, to the listeners of this network namespace
// (uevent_net_rcv_skb, since Linux 4.18).
func relay(t *testing.T, socket int, message []byte) {
	t.Helper()
	request := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(message)))
	request = binary.NativeEndian.AppendUint16(request, unix.NLMSG_MIN_TYPE)
	request = binary.NativeEndian.AppendUint16(request, unix.NLM_F_REQUEST)
	request = append(request, make([]byte, 8)...) // sequence number and port id
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(socket, append(request, message...), 0, kernel); err != nil {
		t.Fatal(err)
	}
}

// Messages arrive in order: one that must be ignored would be received before the one after it.
func TestWatcherReceivesOnlyFromTheKernel(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	received := run(t, listen(t, Conntrack, "nf_defrag_ipv6"))
	socket := ueventSocket(t)
	for _, action := range []string{"add", "remove"} {
		forge(t, socket, moduleEvent(action, Conntrack))
		forge(t, socket, append(moduleEvent(action, Conntrack), make([]byte, 2*maxUevent)...))
		relay(t, socket, moduleEvent(action, "nf_conntrack_ftp"))
		relay(t, socket, moduleEvent(action, "e1000"))
		relay(t, socket, moduleEvent("change", Conntrack))
	}
	for _, name := range []string{Conntrack, "nf_defrag_ipv6"} {
		for _, action := range []string{"add", "remove"} {
			relay(t, socket, moduleEvent(action, name))
			if receive(t, received) {
				t.Errorf("%s of %s is reported as an overflow", action, name)
			}
			if len(received) > 0 {
				t.Errorf("%d more events were received", len(received))
			}
		}
	}
}

// More events than the socket's buffer holds arrive while nobody receives.
func TestWatcherReportsOverflow(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	w := listen(t, Conntrack)
	socket := ueventSocket(t)
	const storm = 20000
	for range storm {
		relay(t, socket, moduleEvent("add", Conntrack))
	}
	received := run(t, w)
	for events := 0; !receive(t, received); events++ {
		if events == storm {
			t.Fatal("no event was lost")
		}
	}
	receive(t, received) // the watcher goes on
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
		t.Error("Run on a closed socket returns no error")
	}
}
