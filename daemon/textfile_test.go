package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
	"github.com/ctkeeper/ctkeeper/systemd"
)

func TestTextfile(t *testing.T) {
	root := kerneltree.New(t)
	dir := filepath.Join(root, "var/lib/node")
	file := filepath.Join(dir, textfileName)
	files := sysfs.NewFiles(root)
	defer func() { _ = files.Close() }()
	core, logs := observer.New(zapcore.DebugLevel)
	asked := &config.Config{Metrics: config.Metrics{Textfile: "/var/lib/node"}}
	written := func() bool { _, err := os.Stat(file); return err == nil }
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(Options{Source: config.Source{Root: root}, Log: zap.New(core), Notify: systemd.NewNotifier()})
		d.cfg = asked
		d.keeper = reconcile.New(d.keeperOptions(files), &asked.Desired)
		d.keeper.Pass(reconcile.Start, time.Now())
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.writeTextfile(ctx) }()
		look := func() {
			time.Sleep(sampleInterval)
			d.table.sample(time.Now())
			synctest.Wait()
		}
		look()
		look()
		d.log.drain()
		if got := logs.FilterMessageSnippet("textfile: cannot write the metrics").Len(); got != 1 || written() {
			t.Errorf("a missing directory is said %d times, want once", got)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		look()
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "\nctkeeper_conntrack_limit 65536\n") {
			t.Errorf("the file holds %.200s (%v)", text, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		look()
		look()
		if written() {
			t.Error("written again before its time")
		}
		look()
		if !written() {
			t.Error("not written again")
		}
		d.mu.Lock()
		d.cfg = &config.Config{}
		d.mu.Unlock()
		look()
		if written() {
			t.Error("the file is there, and nobody asks for it")
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("writeTextfile = %v", err)
		}
	})
}
