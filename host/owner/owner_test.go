package owner

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	childMarker = "CTKEEPER_TEST_OWNER"
	nobody      = 65534
)

// child takes the claim in another process, and returns its error's text. The process ends with its claim.
func child(t *testing.T, attr *syscall.SysProcAttr) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childMarker+"=1")
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	_, result, found := strings.Cut(string(out), "claim: ")
	if err != nil || !found {
		t.Fatalf("the other process: %v\n%s", err, out)
	}
	result, _, _ = strings.Cut(result, "\n")
	return result
}

// TestChild is the other process of TestOneOwner.
func TestChild(t *testing.T) {
	if os.Getenv(childMarker) == "" {
		return
	}
	claim, err := Take()
	held, heldErr := Held()
	t.Logf("claim: %v %v %v %v", claim != nil, err, held, heldErr)
}

func TestOneOwner(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	if held, err := Held(); held || err != nil {
		t.Fatalf("a new network namespace is held: %v, %v", held, err)
	}
	first, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	if held, err := Held(); !held || err != nil {
		t.Errorf("after Take it is held: %v, %v", held, err)
	}
	if _, err := Take(); !errors.Is(err, ErrHeld) {
		t.Errorf("a second Take: %v, want %v", err, ErrHeld)
	}
	container := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWIPC}
	user := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	other := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	held, free := "false "+ErrHeld.Error()+" true <nil>", "true <nil> true <nil>"
	if got := child(t, container); got != held {
		t.Errorf("in another pid and mount namespace: %s, want %s", got, held)
	}
	if got := child(t, user); got != held {
		t.Errorf("without a capability: %s, want %s", got, held)
	}
	if got := child(t, other); got != free {
		t.Errorf("in another network namespace: %s, want %s", got, free)
	}
	if err := first.Release(); err != nil {
		t.Error(err)
	}
	for range 2 { // the second one, after the first has ended without Release
		if got := child(t, container); got != free {
			t.Errorf("after the owner has gone: %s, want %s", got, free)
		}
	}
	if got := child(t, user); got != "false cannot mark the network namespace: operation not permitted false <nil>" {
		t.Errorf("without a capability and an owner: %s", got)
	}
}

// TestOccupied has a process that took the port id alone, which every user may.
func TestOccupied(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_USERSOCK)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: Port})
	}
	if err != nil {
		t.Fatal(err)
	}
	if claim, err := Take(); !errors.Is(err, ErrOccupied) || claim != nil {
		t.Errorf("Take: %v, %v; want %v", claim, err, ErrOccupied)
	}
	if held, err := Held(); held || err != nil {
		t.Errorf("held: %v, %v", held, err)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	claim, err := Take()
	if err != nil {
		t.Fatalf("after it has gone: %v", err)
	}
	_ = claim.Release() // the test ends
}

// TestFlood sends to the owner's socket, as every user may: nothing is queued.
func TestFlood(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	claim, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = claim.Release() }()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_USERSOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	to := []*unix.SockaddrNetlink{{Family: unix.AF_NETLINK, Pid: Port}, {Family: unix.AF_NETLINK, Groups: 1}}
	for i := range 2000 {
		if err := unix.Sendto(fd, make([]byte, 1024), 0, to[i%2]); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); f[2] == portText && f[4] != "0" {
			t.Errorf("%s bytes are queued", f[4])
		}
	}
}

func TestHasOwner(t *testing.T) {
	const header = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
	if strconv.Itoa(Port) != portText {
		t.Fatalf("the text of %d is %s", Port, portText)
	}
	for line, want := range map[string]bool{
		"":          false,
		"\n \n2\nx": false,
		"0000000017df0001 2   1668574064 00000001 0        0        0     2        0        176730\n": true,
		"0000000017df0001 2   1668574064 00000005 0        0        0     2        0        176730\n": true,
		"0000000017df0001 2   1668574064 00000000 0        0        0     2        0        176730\n": false,
		"0000000017df0001 2   1668574064 00000002 0        0        0     2        0        176730\n": false,
		"0000000017df0001 15  1668574064 00000001 0        0        0     2        0        176730\n": false,
		"0000000017df0001 2   166857406  00000001 0        0        0     2        0        176730\n": false,
		"0000000017df0001 2   1668574064 x\n": false,
	} {
		if got := hasOwner(header + line); got != want {
			t.Errorf("%q has an owner: %v, want %v", line, got, want)
		}
	}
}

func FuzzHasOwner(f *testing.F) {
	f.Add("0000000017df0001 2 1668574064 00000001 0")
	f.Fuzz(func(t *testing.T, text string) {
		if hasOwner(text) && !strings.Contains(text, portText) {
			t.Errorf("an owner in %q", text)
		}
	})
}
