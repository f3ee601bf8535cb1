package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// TestInotifyExhausted runs the daemon where no inotify instance is left.
func TestInotifyExhausted(t *testing.T) {
	if !netns.EnterUser(t) {
		return
	}
	const limit = "/proc/sys/user/max_inotify_instances" // of this user namespace
	write(t, limit, "0")
	root := t.TempDir()
	d := start(t, root, "settings: {udp_timeout: 33}\n")
	const failure = "cannot watch the configuration: cannot create an inotify instance: too many open files"
	const hint = "raise the sysctl fs.inotify.max_user_instances"
	d.wait("the source is reported", func() bool {
		return strings.Contains(strings.Join(d.status().Daemon.SourcesDown(), "\n"),
			"configuration changes are not watched: "+failure+"; "+hint)
	})
	write(t, filepath.Join(root, config.DefaultMain), "settings: {udp_timeout: 44}\n")
	d.wait("the change is seen", func() bool { return d.status().Settings[0].Want.String() == "44" })
	write(t, limit, "10")
	d.wait("it works again", func() bool { return len(d.status().Daemon.SourcesDown()) == 0 })
	for _, message := range []string{"watcher failed, restarting it", "watcher works again"} {
		logs := d.logs.FilterMessage(message).FilterField(logging.String(systemd.KeySource, "config"))
		if got := logs.Len(); got != 1 {
			t.Errorf("%q is logged %d times, want once", message, got)
		}
	}
}

func TestSources(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	log, s := logging.New(core), newSources()
	full := &os.PathError{Op: "watch", Path: "/etc", Err: syscall.ENOSPC}
	for _, err := range []error{nil, full, full, errors.New("other"), nil, nil} {
		s.report(log, status.SourceConfig, err)
	}
	s.report(log, status.SourceSettings, full)
	s.report(log, "guard", full)
	var got []string
	for _, e := range logs.All() {
		got = append(got, e.Message)
	}
	const failed = "watcher failed, restarting it"
	if diff := cmp.Diff([]string{failed, failed, "watcher works again", failed, failed}, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	want := []status.Source{
		{Name: "uevent", OK: true},
		{Name: "inotify", Error: full.Error(), Hint: "raise the sysctl fs.inotify.max_user_watches"},
		{Name: "config", OK: true},
	}
	if diff := cmp.Diff(want, s.snapshot(), cmpopts.IgnoreFields(status.Source{}, "Since")); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}
