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
)

// storm has the kernel announce n times that a module came: more than any
// socket's buffer holds. udevd is away meanwhile, or it would be busy with them
// for minutes.
func storm(t *testing.T, n int) {
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

func withoutUdevd(t *testing.T) {
	t.Helper()
	units := []string{"systemd-udevd-kernel.socket", "systemd-udevd-control.socket", "systemd-udevd.service"}
	run(t, "systemctl", append([]string{"stop"}, units...)...)
	t.Cleanup(func() { run(t, "systemctl", append([]string{"start"}, units...)...) })
}

// TestStormHidesLoad: while the daemon cannot read, its socket overruns, and the
// load of the module is among what is lost. It must look when it hears of the
// loss: nothing else will tell it before the resync, a minute away.
func TestStormHidesLoad(t *testing.T) {
	keep(t, usual)
	withoutUdevd(t)
	run(t, "modprobe", "x_tables")
	since := now(t)
	freeze(t)
	storm(t, 20000)
	run(t, "modprobe", "nf_conntrack")
	signal(t, syscall.SIGCONT)
	t.Logf("in force after %s", inForce(t, prompt, usualValues))
	since.wait(t, "module-load")
}

// TestStormAlive: the same while the daemon reads as fast as it can, both ways.
func TestStormAlive(t *testing.T) {
	keep(t, usual)
	withoutUdevd(t)
	run(t, "modprobe", "x_tables")
	pid := mainPID(t)
	for range 3 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			storm(t, 30000)
		}()
		run(t, "modprobe", "nf_conntrack")
		<-done
		inForce(t, prompt, usualValues)
		run(t, "modprobe", "-r", "nf_conntrack")
	}
	eventually(t, prompt, "the module is seen as gone", func() bool {
		s, _ := ask(t, "status")
		return s.Module.State == "absent"
	})
	if mainPID(t) != pid {
		t.Error("the daemon was restarted")
	}
}

// A forger multicasts what looks like the kernel's uevents, as any root process
// can, and listens to what arrives.
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

// multicast sends to group 1, where the kernel itself speaks.
func (f forger) multicast(t *testing.T, action string) {
	t.Helper()
	if err := unix.Sendto(f.fd, forgedMessage(action), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1}); err != nil {
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
		if len(fields) < 3 || fields[1] != strconv.Itoa(unix.NETLINK_KOBJECT_UEVENT) || fields[2] != strconv.Itoa(pid) {
			continue
		}
		port, _ := strconv.ParseUint(fields[2], 10, 32)
		err := unix.Sendto(f.fd, forgedMessage(action), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: uint32(port)})
		if err != nil && !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EPERM) {
			t.Fatalf("unicast: %v", err)
		}
		sent++
	}
	t.Logf("unicast %s to %d sockets", action, sent)
}

// heard waits for a message on a second listener: the proof that the forgery
// went out.
func (f forger) heard(t *testing.T, action string) {
	t.Helper()
	if err := unix.SetsockoptTimeval(f.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, from, err := unix.Recvfrom(f.fd, buf, 0)
		if err != nil {
			t.Fatalf("the forged %s did not go out: %v", action, err)
		}
		if addr, ok := from.(*unix.SockaddrNetlink); ok && addr.Pid != 0 && strings.HasPrefix(string(buf[:n]), action+"@") {
			return
		}
	}
}

// TestForgedUevents: what root multicasts is not what the kernel says. With and
// without the module, nothing is believed, said or changed.
func TestForgedUevents(t *testing.T) {
	keep(t, usual)
	sender, listener := newForger(t), newForger(t)
	forge := func(wantState string) {
		t.Helper()
		pid := mainPID(t)
		since := now(t)
		text := property(t, "StatusText")
		for _, action := range []string{"add", "remove", "add"} {
			sender.multicast(t, action)
			listener.heard(t, action)
			sender.unicast(t, action, pid)
		}
		time.Sleep(time.Second)
		for _, e := range since.unitEntries(t) {
			t.Errorf("said: %s", e.get("MESSAGE"))
		}
		if after := property(t, "StatusText"); after != text {
			t.Errorf("STATUS went from %q to %q", text, after)
		}
		if s, _ := ask(t, "status"); s.Module.State != wantState {
			t.Errorf("module %s, want %s", s.Module.State, wantState)
		}
		if mainPID(t) != pid {
			t.Error("the daemon was restarted")
		}
	}
	forge("absent")
	run(t, "modprobe", "nf_conntrack")
	inForce(t, prompt, usualValues)
	time.Sleep(time.Second)
	forge("loaded")
	if s, _ := ask(t, "status"); s.Module.Loads != 1 {
		t.Errorf("%d loads counted, want 1", s.Module.Loads)
	}
}
