package status

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/sysfs"
)

// TestContestedText has a contested setting before and after a repair, which lasts until the next write.
func TestContestedText(t *testing.T) {
	for live, want := range map[int64]string{
		33: "udp_timeout is contested: another writer keeps changing it; it is 33, wanted 60",
		60: "udp_timeout is contested: another writer keeps changing it, last to 33; it is 60, wanted 60",
	} {
		d := Document{Daemon: Daemon{Running: true, Config: Config{OK: true}}}
		d.Settings = []reconcile.SettingStatus{{
			Comparison: reconcile.Comparison{
				Name: "udp_timeout", Policy: sysfs.Exactly, Want: sysfs.Number(60), Live: sysfs.Number(live),
				State: reconcile.Contested,
			},
			LastDrift: &reconcile.Drift{Found: sysfs.Number(33)},
		}}
		if d.Judge(); d.Headline != want {
			t.Errorf("live %d: %s, want %s", live, d.Headline, want)
		}
	}
}
