package daemon

import (
	"context"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/host/logging"
	"github.com/ctkeeper/ctkeeper/host/printable"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// configuration returns the configuration in effect, and a channel that is closed after the next reload.
func (d *Daemon) configuration() (*config.Config, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cfg, d.cfgRead
}

// reload reads the configuration again, and returns the error of that. An invalid one is refused as a
// whole, and the last good one stays in effect; the same error is logged once. A reload on request (SIGHUP)
// also retries settings that failed or were forbidden.
func (d *Daemon) reload(ctx context.Context, onRequest bool) error {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	cfg, err := d.loader.Load(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.mu.Lock()
	before, refused := d.cfg, d.cfgErr
	d.cfgErr = err
	switch {
	case err == nil:
		d.cfg, d.cfgAt = cfg, time.Now()
	case refused == nil:
		d.refusedAt = time.Now()
	}
	close(d.cfgRead)
	d.cfgRead = make(chan struct{})
	d.mu.Unlock()
	if onRequest {
		d.resizer.retry.Store(true)
	}
	switch {
	case err != nil:
		if refused == nil || refused.Error() != err.Error() {
			d.recordRefused(err, "the last good one stays in effect")
		}
	case refused != nil || cfg.Fingerprint() != before.Fingerprint():
		d.recordLoaded(cfg)
		d.keeper.SetDesired(d.desired(ctx, cfg), reconcile.Config)
	case onRequest:
		d.keeper.SetDesired(d.desired(ctx, cfg), reconcile.Config)
	default: // at most the line numbers changed, which status shows
		d.keeper.SetDesired(d.desired(ctx, cfg), reconcile.Resync)
	}
	d.publishSummary()
	return err
}

func (d *Daemon) recordLoaded(cfg *config.Config) {
	message := "configuration loaded from " + strings.Join(cfg.Files, ", ")
	switch {
	case len(cfg.Files) > 0 && cfg.UsesDefault:
		message += ", which has no settings: the embedded default applies"
	case len(cfg.Files) > 0:
	case len(cfg.Wants) == 0:
		message = "configuration loaded: every file is empty or masked"
	default:
		message = "configuration loaded from the embedded default, because there is no file"
	}
	note := strings.Join(cfg.Warnings, "; ")
	if note != "" {
		message += "; " + note
	}
	d.recorder.Record(reconcile.ConfigLoadedEvent(time.Now(), note, printable.Line(message)))
}

func (d *Daemon) recordRefused(err error, consequence string) {
	d.recorder.Record(reconcile.ConfigRefusedEvent(time.Now(), err,
		"configuration refused, "+consequence+": "+strings.ReplaceAll(err.Error(), "\n", "; ")))
}

// logUnsupported logs the settings that this kernel does not have, once for the same list.
func (d *Daemon) logUnsupported(report reconcile.Report) {
	var names []string
	for _, s := range report.Settings {
		if s.State == reconcile.Unsupported {
			names = append(names, s.Name)
		}
	}
	list := strings.Join(names, ",")
	if list != d.unsupported && list != "" {
		d.opts.Log.Warn("this kernel does not have some settings; the others are applied",
			logging.String(systemd.KeySetting, list))
	}
	d.unsupported = list
}
