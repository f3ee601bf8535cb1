package self

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// checkConfig tells everything that is wrong with the configuration.
func checkConfig(h *picture.Host) []finding.Finding {
	if h.ConfigErr == nil {
		return nil
	}
	f := finding.Finding{
		ID: "config-refused", Severity: finding.Error, Summary: "the configuration is refused: ctkeeper does not start with it, or keeps the last good one",
		Note: "ctkeeper config check says the same; run it again after each change.",
	}
	wrong := config.Errors(nil)
	if !errors.As(h.ConfigErr, &wrong) {
		f.Evidence = []finding.Evidence{finding.Seen(config.DefaultMain, 0, h.ConfigErr.Error())}
		return []finding.Finding{f}
	}
	for _, e := range wrong {
		text := e.Problem
		if e.Key != "" {
			text = e.Key + ": " + text
		}
		if e.Allowed != "" {
			text += " (" + e.Allowed + ")"
		}
		if e.Column > 0 {
			text = fmt.Sprintf("column %d: %s", e.Column, text)
		}
		f.Evidence = append(f.Evidence, finding.Seen(strings.TrimPrefix(e.File, h.Tree.Root()), e.Line, text))
	}
	return []finding.Finding{f}
}

// checkDefault tells that the embedded default holds.
func checkDefault(h *picture.Host) []finding.Finding {
	if h.Config == nil || len(h.Config.Files) > 0 {
		return nil
	}
	var asked []string
	for _, w := range h.Config.Wants {
		asked = append(asked, w.Setting.Name+" "+w.String())
	}
	return []finding.Finding{{
		ID: "config-default", Severity: finding.Info, Summary: "there is no configuration: the embedded default holds",
		Evidence: []finding.Evidence{finding.Seen(config.DefaultMain, 0, "not there; the default asks for "+strings.Join(asked, ", "))},
		Note:     "ctkeeper import prints a configuration that says what this host has.",
	}}
}

// checkWarnings passes on what the configuration's reader noticed.
func checkWarnings(h *picture.Host) []finding.Finding {
	if h.Config == nil || len(h.Config.Warnings) == 0 {
		return nil
	}
	f := finding.Finding{ID: "config-warnings", Severity: finding.Warning, Summary: "the configuration has parts that are not what they look like"}
	for _, text := range h.Config.Warnings {
		f.Evidence = append(f.Evidence, finding.Seen(config.DefaultMain, 0, text))
	}
	f.Note = "ctkeeper config show has them beside the values that are in force."
	return []finding.Finding{f}
}
