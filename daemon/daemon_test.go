package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

func TestKeepsOnATree(t *testing.T) {
	root := kerneltree.New(t)
	d := start(t, root, "settings: {max: 100000, hashsize: 10000, udp_timeout: 45s}\n")
	for name, want := range map[string]string{"max": "100000", "hashsize": "10000", "udp_timeout": "45"} {
		if got := kerneltree.Get(t, root, name); got != want {
			t.Errorf("%s is %s when READY, want %s", name, got, want)
		}
	}
	kerneltree.Set(t, root, "udp_timeout", "7")
	d.wait("repair", func() bool { return kerneltree.Get(t, root, "udp_timeout") == "45" })
	if err := d.stop(); err != nil {
		t.Errorf("Run = %v after a stop, want nil", err)
	}
	if got := kerneltree.Get(t, root, "udp_timeout"); got != "45" {
		t.Errorf("udp_timeout is %s after the stop, want it left", got)
	}
	if _, err := os.Stat(d.socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	d.wait("the notice of the stop", func() bool { return d.notified.has("STOPPING=1") })
}

func TestModuleComesAndGoes(t *testing.T) {
	root := kerneltree.New(t)
	kerneltree.Unload(t, root)
	d := start(t, root, "settings: {max: 100000}\nenforcement: {resync: 100ms}\n")
	if !d.notified.has("STATUS=waiting for nf_conntrack") {
		t.Errorf("systemd received %q, want a status that it waits", d.notified.all())
	}
	kerneltree.Load(t, root)
	d.wait("values applied after the load", func() bool { return kerneltree.Get(t, root, "max") == "100000" })
	d.wait("status", func() bool { return d.notified.has("STATUS=the setting is in effect") })
	d.wait("load", func() bool { return d.logged("nf_conntrack was loaded") })
	kerneltree.Unload(t, root)
	d.wait("unload", func() bool { return d.logged("nf_conntrack was unloaded") })
	kerneltree.Load(t, root)
	d.wait("values applied again", func() bool { return kerneltree.Get(t, root, "max") == "100000" })
	// A watch set on a directory that came later works as well.
	kerneltree.Set(t, root, "max", "5")
	d.wait("repair", func() bool { return kerneltree.Get(t, root, "max") == "100000" })
}

func TestReload(t *testing.T) {
	root := kerneltree.New(t)
	main := filepath.Join(root, config.DefaultMain)
	d := start(t, root, "settings: {max: 100000, udp_timeout: 45}\n")

	write(t, main, "settings: {max: 200000}\n")
	d.wait("a changed file", func() bool { return kerneltree.Get(t, root, "max") == "200000" })
	kerneltree.Set(t, root, "udp_timeout", "7") // let go

	write(t, main, "settings: {max: 300000, maximum: 5}\n")
	d.wait("refusal", func() bool { return d.logged("configuration refused, the last good one stays in effect") })
	d.wait("refusal in systemctl status", func() bool { return d.notified.has("newest configuration refused") })
	kerneltree.Set(t, root, "max", "5")
	d.wait("the last good value", func() bool { return kerneltree.Get(t, root, "max") == "200000" })
	status := d.status()
	if status.Daemon.Config.OK || !strings.Contains(status.Daemon.Config.Error, "ctkeeper.yaml:1:") {
		t.Errorf("status says config %+v, want the error and its place", status.Daemon.Config)
	}

	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.wait("SIGHUP", func() bool { return d.notified.has("RELOADING=1") })
	write(t, main, "settings: {max: 400000}\n")
	d.wait("mended", func() bool { return kerneltree.Get(t, root, "max") == "400000" })
	d.wait("mended status", func() bool { return d.status().Daemon.Config.OK })
	if got := kerneltree.Get(t, root, "udp_timeout"); got != "7" {
		t.Errorf("udp_timeout is %s, want it let go at 7", got)
	}
	if got := len(d.logs.FilterMessageSnippet("refused").All()); got != 1 {
		t.Errorf("the refusal was said %d times, want once, SIGHUP or not", got)
	}
}

func (r *running) status() status.Document {
	r.t.Helper()
	s, err := status.NewClient(r.socket).Status(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func TestStatusAndEvents(t *testing.T) {
	root := kerneltree.New(t)
	d := start(t, root, "settings:\n  max: 100000\n  helper: true\n")
	kerneltree.Set(t, root, "max", "5")
	d.wait("repair", func() bool { return len(d.events()) == 4 })
	// The figures of the table may be a second old.
	d.wait("the repaired max in the table", func() bool { return *d.status().Table.Max == 100000 })
	s := d.status()
	if !s.Daemon.Running || s.Daemon.PID != os.Getpid() || s.Daemon.Version != "test" || s.Daemon.Since.IsZero() {
		t.Errorf("daemon %+v", s.Daemon)
	}
	if s.Module.State != "loaded" || *s.Table.Expectations != 0 {
		t.Errorf("module %+v, table %+v", s.Module, s.Table)
	}
	if s.Settings[0].State != reconcile.InSync || s.Settings[0].Drifts != 2 ||
		s.Settings[0].LastDrift.Found != sysfs.Number(5) ||
		s.Settings[0].LastDrift.RepairedIn <= 0 ||
		!strings.HasSuffix(s.Settings[0].Origin.String(), "ctkeeper.yaml:2") {
		t.Errorf("max: %+v %+v", s.Settings[0], s.Settings[0].LastDrift)
	}

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var seen []string
	err := status.NewClient(d.socket).Events(ctx, time.Time{}, true, func(e reconcile.Event) error {
		seen = append(seen, string(e.Kind)+" "+e.Found.String())
		if len(seen) == 4 {
			kerneltree.Set(t, root, "max", "6")
		}
		if e.Found == sysfs.Number(6) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("Events = %v, want it to follow until it is stopped", err)
	}
	if diff := cmp.Diff([]string{"config-loaded ", "drift 0", "drift 65536", "drift 5", "drift 6"}, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	none := 0
	err = status.NewClient(d.socket).Events(ctx, time.Now(), false, func(reconcile.Event) error { none++; return nil })
	if err != nil || none != 0 {
		t.Errorf("%d events since now (%v), want none", none, err)
	}
}

var errEnough = errors.New("enough")

func TestEnds(t *testing.T) {
	t.Run("configuration refused at the start", func(t *testing.T) {
		d := start(t, kerneltree.New(t), "settings: {max: -1}\n")
		if err := d.stop(); !errors.Is(err, ErrRefused) {
			t.Errorf("Run = %v, want %v", err, ErrRefused)
		}
		if diff := cmp.Diff([]string{"config-refused"}, d.events()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	})
	t.Run("a second daemon", func(t *testing.T) {
		root := kerneltree.New(t)
		first := start(t, root, "settings: {max: 100000}\n")
		second := start(t, root, "", func(o *Options) { o.Socket = first.socket })
		if err := second.stop(); err == nil || !strings.Contains(err.Error(), "another ctkeeper is running") {
			t.Errorf("Run = %v, want it to see the first", err)
		}
		if !first.status().Daemon.Running {
			t.Error("the first lost its socket")
		}
	})
	t.Run("a stale socket is replaced", func(t *testing.T) {
		d := start(t, kerneltree.New(t), "settings: {max: 100000}\n", func(o *Options) { write(t, o.Socket, "") })
		if info, err := os.Stat(d.socket); err != nil || info.Mode().Perm() != socketMode {
			t.Errorf("socket %v (%v), want mode %o", info, err, socketMode)
		}
	})
	t.Run("a socket that cannot be had", func(t *testing.T) {
		root := kerneltree.New(t)
		d := start(t, root, "settings: {max: 100000}\n", func(o *Options) { o.Socket = "/dev/null/ctkeeper.sock" })
		if got := kerneltree.Get(t, root, "max"); got != "100000" {
			t.Errorf("max is %s, want it kept without a socket", got)
		}
		d.wait("warning", func() bool { return d.logged("status socket: running without it") })
	})
}

func TestStatusLine(t *testing.T) {
	present := reconcile.Module{Present: true}
	tests := []struct {
		s       reconcile.Summary
		refused error
		want    string
	}{
		{reconcile.Summary{Settings: 3, Pending: 3}, nil, "waiting for nf_conntrack"},
		{reconcile.Summary{Module: present, Settings: 1, Drifted: 1, Mode: reconcile.Observe}, nil,
			"0 of 1 setting in effect, 1 drifted, mode observe"},
		{reconcile.Summary{Module: present, Settings: 1, InSync: 1}, errEnough,
			"the setting is in effect, newest configuration refused, the last good one is in effect"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, statusLine(tt.s, tt.refused, false)); diff != "" {
			t.Errorf("status line (-want +got):\n%s", diff)
		}
	}
}

// A service manager that does not read its socket (frozen, debugged) neither stops the repairs nor the end.
func TestFrozenServiceManager(t *testing.T) {
	root := kerneltree.New(t)
	d := start(t, root, "settings: {max: 100000}\n", func(o *Options) {
		harness := os.Getenv("NOTIFY_SOCKET")
		t.Setenv("NOTIFY_SOCKET", fullSocket(t))
		t.Setenv("WATCHDOG_USEC", "1000000")
		o.Notify = systemd.NewNotifier()
		o.Started = func(status.Document) {
			if conn, err := net.Dial("unixgram", harness); err == nil {
				_, _ = conn.Write([]byte("READY=1"))
				_ = conn.Close()
			}
		}
	})
	for range 5 { // with the watchdog's passes
		kerneltree.Set(t, root, "max", "5")
		d.wait("repair", func() bool { return kerneltree.Get(t, root, "max") == "100000" })
		time.Sleep(100 * time.Millisecond)
	}
	d.wait("warning", func() bool { return d.logged("cannot notify systemd") })
	if got := len(d.logs.FilterMessageSnippet("cannot notify systemd").All()); got != 1 {
		t.Errorf("the failure was logged %d times, want once", got)
	}
	began := time.Now()
	if err := d.stop(); err != nil || time.Since(began) > time.Second {
		t.Errorf("Run = %v, %v after the stop", err, time.Since(began))
	}
}

// fullSocket returns the path of a datagram socket whose queue is full and that nobody reads.
func fullSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "full")
	address := &net.UnixAddr{Name: path, Net: "unixgram"}
	listener, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for err == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = conn.Write([]byte("FOREIGN=1"))
	}
	return path
}
