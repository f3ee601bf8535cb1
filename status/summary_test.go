package status

import (
	"testing"

	"github.com/ctkeeper/ctkeeper/reconcile"
)

func TestSettingsText(t *testing.T) {
	present := reconcile.Module{Present: true}
	for want, s := range map[string]reconcile.Summary{
		"no settings are configured":                            {Module: present},
		"waiting for nf_conntrack":                              {Settings: 3, Pending: 3},
		"waiting for nf_conntrack, mode observe":                {Settings: 1, Pending: 1, Mode: reconcile.Observe},
		"1 of 3 settings in effect, 2 waiting for their module": {Settings: 3, InSync: 1, Pending: 2},
		"the setting is in effect":                              {Module: present, Settings: 1, InSync: 1},
		"all 3 settings are in effect":                          {Module: present, Settings: 3, InSync: 3},
		"1 of 6 settings in effect, 1 drifted, 1 contested, 1 forbidden, 1 failed, 1 not in this kernel": {
			Module: present, Settings: 6, InSync: 1, Drifted: 1, Contested: 1, Forbidden: 1, Failed: 1, Unsupported: 1,
		},
	} {
		if got := SettingsText(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
