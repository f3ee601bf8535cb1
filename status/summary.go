package status

import (
	"fmt"

	"github.com/ctkeeper/ctkeeper/kmod"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

// SettingsText renders how many settings are in effect, and what the others are: "2 of 3 settings are in effect,
// 1 contested".
func SettingsText(s reconcile.Summary) string {
	text := fmt.Sprintf("%d of %s in effect", s.InSync, plural(int64(s.Settings), "setting"))
	switch {
	case s.Settings == 0:
		text = "no settings are configured"
	case s.InSync == 0 && s.Pending == s.Settings && !s.Module.Present:
		text = "waiting for " + kmod.Conntrack
		s.Pending = 0
	case s.InSync == s.Settings && s.Settings == 1:
		text = "the setting is in effect"
	case s.InSync == s.Settings:
		text = fmt.Sprintf("all %d settings are in effect", s.Settings)
	}
	for _, rest := range []struct {
		n    int
		what string
	}{
		{s.Drifted, "drifted"}, {s.Contested, "contested"}, {s.Forbidden, "forbidden"}, {s.Failed, "failed"},
		{s.Pending, "waiting for their module"}, {s.Unsupported, "not in this kernel"},
	} {
		if rest.n > 0 {
			text += fmt.Sprintf(", %d %s", rest.n, rest.what)
		}
	}
	if s.Mode == reconcile.Observe {
		text += ", mode observe"
	}
	return text
}
