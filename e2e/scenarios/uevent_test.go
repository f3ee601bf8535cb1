//go:build guest

package scenarios

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/kmod"
)

// sendUevents makes the kernel send n uevents of a loaded module: more than fit into the buffer of a socket. udevd
// must be stopped, because it would need minutes for them.
func sendUevents(t *testing.T, n int) {
	t.Helper()
	f, err := os.OpenFile("/sys/module/x_tables/uevent", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range n {
		if _, err := f.WriteAt([]byte("add"), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func stopUdevd(t *testing.T) {
	t.Helper()
	units := []string{"systemd-udevd-kernel.socket", "systemd-udevd-control.socket", "systemd-udevd.service"}
	run(t, "systemctl", append([]string{"stop"}, units...)...)
	t.Cleanup(func() { run(t, "systemctl", append([]string{"start"}, units...)...) })
}

// TestLostLoad: while the daemon cannot read, its socket overruns, and the uevent of the load is lost. The overrun
// must make it run a pass, because the resync is a minute away.
func TestLostLoad(t *testing.T) {
	startDaemon(t, usual)
	stopUdevd(t)
	run(t, "modprobe", "x_tables")
	since := journalEnd(t)
	freeze(t)
	sendUevents(t, 20000)
	run(t, "modprobe", "nf_conntrack")
	signal(t, syscall.SIGCONT)
	t.Logf("applied after %s", waitApplied(t, prompt, usualValues))
	since.wait(t, "module-load")
}

// TestUeventFlood: loads and unloads among many uevents while the daemon reads as fast as it can.
func TestUeventFlood(t *testing.T) {
	startDaemon(t, usual)
	stopUdevd(t)
	run(t, "modprobe", "x_tables")
	pid := mainPID(t)
	for range 3 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			sendUevents(t, 30000)
		}()
		run(t, "modprobe", "nf_conntrack")
		<-done
		waitApplied(t, prompt, usualValues)
		run(t, "modprobe", "-r", "nf_conntrack")
	}
	eventually(t, prompt, "status has an absent module", func() bool {
		s, _ := document(t, "status")
		return s.Module.State == "absent"
	})
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
}

// A forger sends messages that look like the kernel's uevents, as any root process can, and receives uevents.
type forger struct{ fd int }

func newForger(t *testing.T) forger {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
		t.Fatal(err)
	}
	return forger{fd}
}

func forgedMessage(action string) []byte {
	return []byte(action + "@/module/nf_conntrack\x00ACTION=" + action +
		"\x00DEVPATH=/module/nf_conntrack\x00SUBSYSTEM=module\x00SEQNUM=999999\x00")
}

// multicast sends to group 1, which is the kernel's.
func (f forger) multicast(t *testing.T, action string) {
	t.Helper()
	group := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}
	if err := unix.Sendto(f.fd, forgedMessage(action), 0, group); err != nil {
		t.Fatalf("multicast: %v", err)
	}
}

// unicast sends to every uevent socket of a process.
func (f forger) unicast(t *testing.T, action string, pid int) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		protocol := strconv.Itoa(unix.NETLINK_KOBJECT_UEVENT)
		if len(fields) < 3 || fields[1] != protocol || fields[2] != strconv.Itoa(pid) {
			continue
		}
		port, _ := strconv.ParseUint(fields[2], 10, 32)
		to := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: uint32(port)}
		err := unix.Sendto(f.fd, forgedMessage(action), 0, to)
		if err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EPERM) {
			t.Fatalf("unicast: %v", err)
		}
		sent++
	}
	t.Logf("unicast %s to %d sockets", action, sent)
}

// waitForUevent waits for a forged message, which proves that it was sent.
func (f forger) waitForUevent(t *testing.T, action string) {
	t.Helper()
	if err := unix.SetsockoptTimeval(f.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, from, err := unix.Recvfrom(f.fd, buf, 0)
		if err != nil {
			t.Fatalf("the forged %s was not received: %v", action, err)
		}
		sender, ok := from.(*unix.SockaddrNetlink)
		if ok && sender.Pid != 0 && strings.HasPrefix(string(buf[:n]), action+"@") {
			return
		}
	}
}

// TestForgedUevents: uevents of another sender than the kernel are ignored, with and without the module. Nothing is
// logged and nothing changes.
func TestForgedUevents(t *testing.T) {
	startDaemon(t, usual)
	sender, listener := newForger(t), newForger(t)
	forge := func(wantState kmod.State) {
		t.Helper()
		pid := mainPID(t)
		since := journalEnd(t)
		text := property(t, "StatusText")
		for _, action := range []string{"add", "remove", "add"} {
			sender.multicast(t, action)
			listener.waitForUevent(t, action)
			sender.unicast(t, action, pid)
		}
		time.Sleep(time.Second)
		for _, e := range since.unitEntries(t) {
			t.Errorf("in the journal: %s", e.get("MESSAGE"))
		}
		if after := property(t, "StatusText"); after != text {
			t.Errorf("STATUS changed from %q to %q", text, after)
		}
		if s, _ := document(t, "status"); s.Module.State != wantState {
			t.Errorf("module %s, want %s", s.Module.State, wantState)
		}
		if mainPID(t) != pid {
			t.Error("the daemon was restarted")
		}
	}
	forge("absent")
	run(t, "modprobe", "nf_conntrack")
	waitApplied(t, prompt, usualValues)
	time.Sleep(time.Second)
	forge("loaded")
	if s, _ := document(t, "status"); s.Module.Loads != 1 {
		t.Errorf("%d loads counted, want 1", s.Module.Loads)
	}
}
