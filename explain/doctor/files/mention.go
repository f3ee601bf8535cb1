package files

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
)

// checkMentions returns one finding with all lines that name nf_conntrack and that no reader understood,
// those that could set a value first.
func checkMentions(h *picture.Host) []finding.Finding {
	mentions := slices.Clone(h.Inventory.Mentions)
	if len(mentions) == 0 {
		return nil
	}
	setting := 0
	slices.SortStableFunc(mentions, func(a, b inventory.Mention) int {
		return min(len(b.Sets), 1) - min(len(a.Sets), 1)
	})
	f := finding.Finding{
		ID: "mentioned", Severity: finding.Info,
		Note: "Read these lines: what this report states about a setting is true only if none of them sets it.",
	}
	for _, m := range mentions {
		text := m.Text
		if len(m.Sets) > 0 {
			text += " (could set " + settingList(m.Sets) + ")"
			setting++
		}
		f.Evidence = append(f.Evidence, finding.At(m.Place, text))
	}
	f.Summary = "1 line mentions nf_conntrack, not understood"
	if n := len(mentions); n > 1 {
		f.Summary = fmt.Sprintf("%d lines mention nf_conntrack, not understood", n)
	}
	if setting == 0 {
		f.Note = "None of these lines was found to set a value at each boot."
		return []finding.Finding{f}
	}
	f.Summary += fmt.Sprintf("; %d could set a value", setting)
	if h.Config == nil || h.Config.Guard.Mode == config.GuardOff {
		f.Note += " To know who writes a value, run ctkeeper with guard: watch; ctkeeper events then names the writer."
	}
	return []finding.Finding{f}
}

// settingList returns the names of settings, or how many there are.
func settingList(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%d settings", len(names))
	}
	return strings.Join(names, ", ")
}
