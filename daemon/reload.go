package daemon

import (
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/systemd"
)

// reload reads the configuration again. A broken one is refused whole and the
// last good one stays; what was said before is not said again. A person who asks
// also has tried again what was refused or forbidden.
func (d *Daemon) reload(asked bool) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	cfg, err := d.opts.Source.Load()
	d.mu.Lock()
	before, refused := d.cfg, d.refused
	d.refused = err
	if err == nil {
		d.cfg, d.loadedAt = cfg, time.Now()
	}
	d.mu.Unlock()
	poke(d.configured)
	poke(d.guardConfigured)
	switch {
	case err != nil:
		if refused == nil || refused.Error() != err.Error() {
			d.sayRefused(err, "the last good one stays in force")
		}
	case refused != nil || cfg.Fingerprint() != before.Fingerprint():
		d.sayLoaded(cfg)
		d.keeper.SetDesired(Desired(cfg), reconcile.Config)
	case asked:
		d.keeper.SetDesired(Desired(cfg), reconcile.Config)
	default: // only lines moved, which status shows
		d.keeper.SetDesired(Desired(cfg), reconcile.Resync)
	}
	d.changed()
}

func (d *Daemon) sayLoaded(cfg *config.Config) {
	from := strings.Join(cfg.Files, ", ")
	switch {
	case from != "":
	case len(cfg.Wants) == 0:
		from = "nothing: every file is empty or masked"
	default:
		from = "the embedded default, because there is no file"
	}
	note := strings.Join(cfg.Warnings, "; ")
	message := "configuration loaded from " + from
	if note != "" {
		message += "; " + note
	}
	d.recorder.Record(reconcile.Event{At: time.Now(), Kind: reconcile.Kind(systemd.EventConfigLoaded), Note: note, Message: message})
}

func (d *Daemon) sayRefused(err error, instead string) {
	d.recorder.Record(reconcile.Event{
		At: time.Now(), Kind: reconcile.Kind(systemd.EventConfigRefused), Error: err.Error(), Result: reconcile.NotRepaired,
		Message: "configuration refused, " + instead + ": " + strings.ReplaceAll(err.Error(), "\n", "; "),
	})
}

// sayUnsupported names, once, the settings that this kernel does not have.
func (d *Daemon) sayUnsupported(report reconcile.Report) {
	var names []string
	for _, s := range report.Settings {
		if s.State == reconcile.Unsupported {
			names = append(names, s.Name)
		}
	}
	list := strings.Join(names, ",")
	if list != d.unsupported && list != "" {
		d.opts.Log.Warn("this kernel does not have some of the settings asked for; the others are kept",
			zap.String(systemd.KeySetting, list))
	}
	d.unsupported = list
}
