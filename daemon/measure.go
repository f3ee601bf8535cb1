package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/metrics"
)

const (
	// textfileInterval is how old the textfile may become; it is written at a look at the
	// table, so that nothing is woken for it.
	textfileInterval = 15 * time.Second
	textfileName     = "ctkeeper.prom"
)

// measured is what the gauges show.
func (d *Daemon) measured() metrics.Now {
	d.mu.Lock()
	refused, loadedAt := d.refused, d.loadedAt
	d.mu.Unlock()
	report, sample := d.keeper.Report(), d.table.recent()
	return metrics.Now{
		Settings: report.Settings, Loaded: report.Module.Present, Loads: report.Loads,
		ConfigOK: refused == nil, ConfigAt: loadedAt,
		Table: sample, ByHelper: sample.ByHelper, Levels: d.table.monitor.State().Levels,
		KernelLog: d.messages.counted() != nil, Guard: string(d.guardian.report().State),
	}
}

// configuration is the one in force.
func (d *Daemon) configuration() *config.Config {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg
}

// writeTextfile keeps node_exporter's file while the configuration asks for it. The file stays
// when the daemon ends, as the collector's users know it: its age tells. A file that is no
// longer asked for is taken away, or its figures would stand for ever.
func (d *Daemon) writeTextfile(ctx context.Context) error {
	var written time.Time
	var dir, said string
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.looked:
		}
		before := dir
		if dir = d.configuration().Metrics.Textfile; dir != "" {
			dir = tree.At(d.opts.Source.Root).Real(dir)
		}
		if dir != before {
			written, said = time.Time{}, ""
			d.removeTextfile(before)
		}
		if dir == "" || time.Since(written) < textfileInterval-lookInterval/2 {
			continue
		}
		err := d.metrics.WriteTextfile(dir)
		switch {
		case err == nil:
			written, said = time.Now(), ""
		case err.Error() != said:
			said = err.Error()
			d.opts.Log.Warn("the metrics are not in the textfile collector's directory, trying again", zap.Error(err))
		}
	}
}

func (d *Daemon) removeTextfile(dir string) {
	if dir == "" {
		return
	}
	if err := os.Remove(filepath.Join(dir, textfileName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.opts.Log.Warn("the textfile that is no longer asked for stays", zap.Error(err))
	}
}
