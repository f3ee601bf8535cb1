package daemon

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ctkeeper/ctkeeper/host/owner"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/status"
)

const (
	standbyLog  = "another ctkeeper keeps the settings of this network namespace"
	takeOverLog = "the other ctkeeper of this network namespace has ended"
)

// Of two daemons that share no file the second one observes, and takes over when the first one has ended.
func TestSecondKeeper(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	first := start(t, "", "settings: {udp_timeout: 33}\n")
	second := start(t, "", "settings: {udp_timeout: 44}\nenforcement: {resync: 1s}\n")
	s := second.status()
	if s.Daemon.Mode != "observe" || !s.Daemon.KeptElsewhere || s.Settings[0].State != "drifted" {
		t.Errorf("the second daemon: %+v, %+v; want it to observe", s.Daemon, s.Settings[0])
	}
	isStandby := func(p status.Problem) bool { return slices.Equal(p.About, []string{status.AboutDaemon}) }
	if !slices.ContainsFunc(s.Problems, isStandby) {
		t.Errorf("the second daemon's problems: %+v", s.Problems)
	}
	if !second.notified.has("1 drifted, mode observe, another ctkeeper enforces") {
		t.Errorf("the second daemon's status lines: %q", second.notified.all())
	}
	if got := procValue(t, procUDP); got != "33" || !second.logged(standbyLog) || first.logged(standbyLog) {
		t.Errorf("udp_timeout is %s, want 33 of the first daemon", got)
	}
	if s := first.status(); s.Daemon.Mode != "enforce" || s.Daemon.KeptElsewhere || len(s.Problems) != 0 {
		t.Errorf("the first daemon: %+v, %+v", s.Daemon, s.Problems)
	}
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second.wait("the second daemon takes over", func() bool { return procValue(t, procUDP) == "44" })
	second.wait("its log", func() bool { return second.logged(takeOverLog) })
	second.wait("its status", func() bool {
		s := second.status()
		return s.Daemon.Mode == "enforce" && !s.Daemon.KeptElsewhere && len(s.Problems) == 0
	})
}

// A daemon in mode observe leaves the network namespace to others, also from a reload on.
func TestObserverIsNoOwner(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	observer := start(t, "", "settings: {udp_timeout: 33}\n")
	write(t, observer.config, "settings: {udp_timeout: 33}\nenforcement: {mode: observe}\n")
	observer.wait("mode observe", func() bool { return observer.status().Daemon.Mode == "observe" })
	if held, err := owner.Held(); held || err != nil {
		t.Errorf("the network namespace is held: %v, %v", held, err)
	}
	second := start(t, "", "settings: {udp_timeout: 44}\n")
	if got := procValue(t, procUDP); got != "44" || second.logged(standbyLog) {
		t.Errorf("udp_timeout is %s, want 44 of the daemon that enforces", got)
	}
}

// A process that took the port id without CAP_NET_ADMIN keeps nobody from enforcing.
func TestOccupiedPort(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_USERSOCK)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: owner.Port})
	}
	if err != nil {
		t.Fatal(err)
	}
	d := start(t, "", "settings: {udp_timeout: 33}\nenforcement: {resync: 1s}\n")
	s := d.status()
	if procValue(t, procUDP) != "33" || s.Daemon.Mode != "enforce" ||
		s.Daemon.OwnerError != owner.ErrOccupied.Error() ||
		!d.logged("a second ctkeeper in this network namespace would not be noticed") || len(s.Problems) != 1 {
		t.Errorf("the daemon: %+v, problems %+v", s.Daemon, s.Problems)
	}
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	d.wait("the daemon owns the namespace", func() bool {
		held, _ := owner.Held()
		return held && d.status().Daemon.OwnerError == ""
	})
}
