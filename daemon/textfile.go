package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

const (
	// textfileInterval is how old the textfile may become; it is written after a sample of the
	// table, so that it needs no timer of its own.
	textfileInterval = 15 * time.Second
	textfileName     = "ctkeeper.prom"
)

// writeTextfile writes node_exporter's file while the configuration asks for it. The file stays
// when the daemon ends: its age shows that, as the collector's users know. A file that is no
// longer configured is removed, because its figures would never change again.
func (d *Daemon) writeTextfile(ctx context.Context) error {
	var written time.Time
	var dir, logged string
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.table.sampled:
		}
		cfg, _ := d.configuration()
		before := dir
		if dir = cfg.Metrics.Textfile; dir != "" {
			dir = tree.At(d.opts.Source.Root).Real(dir)
		}
		if dir != before {
			written, logged = time.Time{}, ""
			d.removeTextfile(before)
		}
		if dir == "" || time.Since(written) < textfileInterval-sampleInterval/2 {
			continue
		}
		err := d.metrics.WriteTextfile(dir)
		switch {
		case err == nil:
			written, logged = time.Now(), ""
		case err.Error() != logged:
			logged = err.Error()
			d.opts.Log.Warn("textfile: cannot write the metrics, retrying", zap.Error(err))
		}
	}
}

func (d *Daemon) removeTextfile(dir string) {
	if dir == "" {
		return
	}
	if err := os.Remove(filepath.Join(dir, textfileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.opts.Log.Warn("textfile: cannot remove the file that is no longer configured", zap.Error(err))
	}
}
