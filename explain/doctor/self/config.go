package self

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
)

// checkConfig reports all errors of the configuration.
func checkConfig(h *picture.Host) []finding.Finding {
	if h.ConfigErr == nil {
		return nil
	}
	f := finding.Finding{
		ID: "config-refused", Severity: finding.Error,
		Summary: "the configuration is refused: ctkeeper does not start with it, or keeps the last good one",
		Note:    "ctkeeper config check reports the same errors; run it again after each change.",
	}
	errs := config.Errors(nil)
	if !errors.As(h.ConfigErr, &errs) {
		f.Evidence = []finding.Evidence{finding.Seen(config.DefaultMain, 0, h.ConfigErr.Error())}
		return []finding.Finding{f}
	}
	for _, e := range errs {
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
		f.Evidence = append(f.Evidence, finding.Seen(strings.TrimPrefix(e.File, h.Root), e.Line, text))
	}
	return []finding.Finding{f}
}

// checkDefault reports that the embedded default is in use.
func checkDefault(h *picture.Host) []finding.Finding {
	if h.Config == nil || !h.Config.UsesDefault {
		return nil
	}
	var wants []string
	for _, w := range h.Config.Wants {
		wants = append(wants, w.Setting.Name+" "+w.String())
	}
	text := "does not exist"
	if len(h.Config.Files) > 0 {
		text = "has no settings, nor has any drop-in"
	}
	text += "; the default asks for " + strings.Join(wants, ", ")
	return []finding.Finding{{
		ID: "config-default", Severity: finding.Info, Summary: "no settings are configured: the embedded default " +
			"is used",
		Evidence: []finding.Evidence{finding.Seen(config.DefaultMain, 0, text)},
		Note:     "ctkeeper import prints a configuration with the values that this host has.",
	}}
}

// checkWarnings reports the warnings of the configuration.
func checkWarnings(h *picture.Host) []finding.Finding {
	if h.Config == nil || len(h.Config.Warnings) == 0 {
		return nil
	}
	f := finding.Finding{
		ID: "config-warnings", Severity: finding.Warning, Summary: "parts of the configuration do not have the " +
			"effect that they seem to have",
		Note: "ctkeeper config show prints them together with the values that are in effect.",
	}
	for _, text := range h.Config.Warnings {
		f.Evidence = append(f.Evidence, finding.Seen(config.DefaultMain, 0, text))
	}
	return []finding.Finding{f}
}
