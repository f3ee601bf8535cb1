package daemon

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// The configuration of the start is not loaded again when its watches are set, unless it may have changed.
func TestConfigIsLoadedOnce(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	root := kerneltree.New(t)
	main := filepath.Join(root, config.DefaultMain)
	write(t, main, "settings: {max: 100000}\n")
	time.Sleep(clockSlack + 100*time.Millisecond)
	d := newDaemon(Options{Source: config.Source{Root: root}, Log: logging.NewNop(), Notify: systemd.NewNotifier()})
	var err error
	if d.cfg, err = d.loader.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.keeper = reconcile.New(d.keeperOptions(sysfs.NewFiles(tree.At(root)), nil), &d.cfg.Desired)
	watch := func() (loaded <-chan struct{}, stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		_, loaded = d.configuration()
		var tasks errgroup.Group
		tasks.Go(func() error { return d.watchConfig(ctx) })
		return loaded, func() {
			cancel()
			if err := tasks.Wait(); err != nil {
				t.Error(err)
			}
		}
	}
	loaded, stop := watch()
	select {
	case <-loaded:
		t.Error("it was loaded again")
	case <-time.After(300 * time.Millisecond):
	}
	write(t, main, "settings: {max: 200000}\n")
	waitLoad := func(what string) {
		select {
		case <-loaded:
		case <-time.After(patience):
			t.Fatalf("%s: not loaded", what)
		}
	}
	waitLoad("a change")
	stop()
	// The watches are set again after a failure: what was missed meanwhile is found.
	loaded, stop = watch()
	waitLoad("new watches")
	stop()
	d.configWatched = false
	loaded, stop = watch()
	waitLoad("a change between load and watch")
	stop()
}
