// Package table_test compares what package table reads with a connection table that another client of ctnetlink
// filled.
package table_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/table"
)

// expectations is how many the tests create: a dump of them has several parts.
const expectations = 700

// fillExpectations creates expectations of the ftp helper in this network namespace, each with a connection of its
// own: the helper allows one expectation a connection.
func fillExpectations(t *testing.T) *conntrack.Conn {
	t.Helper()
	_, loaded := os.Stat("/sys/module/nf_conntrack_netlink")
	_, modules := os.Stat("/proc/modules") // a kernel without modules has no such file, and ctnetlink in its image
	if loaded != nil && modules == nil {
		netns.Cannot(t, "nf_conntrack_netlink is not loaded: %v", loaded)
	}
	conn, err := conntrack.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	server, all := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("255.255.255.255")
	tuple := func(from, to netip.Addr, port uint16) conntrack.Tuple {
		return conntrack.Tuple{
			IP:    conntrack.IPTuple{SourceAddress: from, DestinationAddress: to},
			Proto: conntrack.ProtoTuple{Protocol: unix.IPPROTO_TCP, DestinationPort: port},
		}
	}
	for i := range expectations {
		client := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		flow := conntrack.NewFlow(unix.IPPROTO_TCP, 0, client, server, 40000, 21, 120, 0)
		flow.Helper.Name = "ftp\x00" // the kernel requires the terminating NUL
		if err := conn.Create(flow); err != nil {
			netns.Cannot(t, "cannot create a connection with the ftp helper: %v", err)
		}
		expect := conntrack.Expect{
			Timeout: 300, TupleMaster: flow.TupleOrig,
			Tuple: tuple(client, server, 30000), Mask: tuple(all, all, 65535),
		}
		if err := conn.CreateExpect(expect); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// TestExpectations reads them as root, from /proc.
func TestExpectations(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	conn := fillExpectations(t)
	got, err := table.ExpectationsByHelper(tree.Tree{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int64{"ftp": expectations}, got); diff != "" {
		t.Errorf("expectations by helper (-want +got):\n%s", diff)
	}
	if all, err := conn.DumpExpect(); err != nil || len(all) != expectations || all[0].HelpName != "ftp" {
		t.Errorf("ti-mo/conntrack reads %d expectations, %v", len(all), err)
	}
	sample := table.Take(tree.Tree{}, time.Now())
	if sample.Expectations == nil || *sample.Expectations != expectations {
		t.Errorf("a sample has other expectations: %+v", sample)
	}
	if sample.Entries == nil || *sample.Entries != expectations {
		t.Errorf("a sample has other connections: %+v", sample)
	}
}

// TestExpectationsWithoutRoot reads them with the daemon's capabilities: CAP_NET_ADMIN and no other, which /proc
// refuses and ctnetlink accepts; and without any.
func TestExpectationsWithoutRoot(t *testing.T) {
	const asNobody, nobody = "CTKEEPER_TEST_AS_NOBODY", 65534
	if capability := os.Getenv(asNobody); capability != "" {
		readAsNobody(t, capability == "none")
		return
	}
	if !netns.Enter(t) {
		return
	}
	fillExpectations(t)
	for capability, set := range map[string][]uintptr{"CAP_NET_ADMIN": {unix.CAP_NET_ADMIN}, "none": nil} {
		child := exec.CommandContext(t.Context(), "/proc/self/exe",
			"-test.run=^TestExpectationsWithoutRoot$", "-test.v", "-test.count=1")
		child.Env = append(os.Environ(), asNobody+"="+capability)
		child.Dir = "/"
		child.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: set,
		}
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("capability %s: %v\n%s", capability, err, out)
		}
	}
}

// readAsNobody is the part of TestExpectationsWithoutRoot that runs in the child.
func readAsNobody(t *testing.T, refused bool) {
	if _, err := os.ReadFile("/proc/net/nf_conntrack_expect"); !errors.Is(err, unix.EACCES) {
		t.Fatalf("this user may read /proc/net/nf_conntrack_expect: %v", err)
	}
	start := time.Now()
	got, err := table.ExpectationsByHelper(tree.Tree{})
	if refused {
		if !errors.Is(err, unix.EACCES) || !errors.Is(err, unix.EPERM) {
			t.Errorf("want EACCES of /proc and EPERM of ctnetlink, got %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d expectations by ctnetlink in %v", expectations, time.Since(start))
	if diff := cmp.Diff(map[string]int64{"ftp": expectations}, got); diff != "" {
		t.Errorf("expectations by ctnetlink (-want +got):\n%s", diff)
	}
}
