package text_test

import (
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/host/change"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/ui/text"
)

func evidence(file string, line int, text string) finding.Evidence {
	return finding.Evidence{Place: tree.Place{File: file, Line: line}, Text: text}
}

// withFindings is a report with a finding of each severity, and with control characters in the evidence.
func withFindings() doctor.Report {
	return doctor.Report{
		Root: "/", Distribution: "Debian GNU/Linux 12 (bookworm)", Kernel: "6.1.0-18-amd64",
		Findings: []finding.Finding{
			{
				ID: "module-blacklisted", Severity: finding.Error, Summary: "modprobe.d keeps nf_conntrack out",
				Evidence: []finding.Evidence{
					evidence("/etc/modprobe.d/x.conf", 3, "blacklist nf_conntrack"),
					evidence(
						"/dev/kmsg", 0, "\x1b[31mred\x1b[0m\tand \u202eback\n"+strings.Repeat("long ", 100)+"\xff",
					),
				},
				Fix: []finding.Step{
					{Edit: &change.Edit{
						File: "/etc/modprobe.d/x.conf", Line: 3, Old: "blacklist\tnf_conntrack",
						New: "# blacklist\tnf_conntrack",
					}},
					change.Run("modprobe", "nf_conntrack"),
				},
				Note: "run it on that host",
			},
			{
				ID:       "module-not-loaded",
				Severity: finding.Error,
				Summary:  "nf_conntrack is not loaded",
				Evidence: []finding.Evidence{},
				Fix:      []finding.Step{},
			},
			{
				ID:       "holders-pin",
				Severity: finding.Warning,
				Summary:  "something will bite",
				Evidence: []finding.Evidence{evidence("/proc/modules", 2, "nf_nat")},
				Fix: []finding.Step{
					change.WriteFile("/etc/x", "a long line "+strings.Repeat("that is never cut ", 30), "and another"),
				},
			},
			{
				ID:       "module-built-in",
				Severity: finding.Info,
				Summary:  "nf_conntrack is part of the kernel image",
				Evidence: []finding.Evidence{},
				Fix:      []finding.Step{},
			},
		},
		NotRead: []finding.Evidence{evidence("/dev/kmsg", 0, "operation not permitted")},
	}
}

func healthy() doctor.Report {
	return doctor.Report{Root: "/mnt", Healthy: true, Findings: []finding.Finding{}, NotRead: []finding.Evidence{}}
}

func TestDoctor(t *testing.T) {
	elsewhere := withFindings()
	elsewhere.Root, elsewhere.Kernel, elsewhere.Findings = "/mnt/disk", "", elsewhere.Findings[2:3]
	for name, report := range map[string]doctor.Report{
		"doctor":           withFindings(),
		"doctor-healthy":   healthy(),
		"doctor-elsewhere": elsewhere,
	} {
		for _, format := range text.Formats() {
			t.Run(name+"."+format, func(t *testing.T) {
				golden(t, name+"."+format, print(t, format, func(p text.Printer) error { return p.Doctor(report) }))
			})
		}
	}
}

func TestDoctorInColour(t *testing.T) {
	coloured := func(report doctor.Report) string {
		return string(print(t, "table", func(p text.Printer) error {
			p.Colour = true
			return p.Doctor(report)
		}))
	}
	text := coloured(withFindings()) + coloured(healthy())
	for _, want := range []string{
		"\x1b[31mERROR\x1b[0m module-", "\x1b[33mWARNING\x1b[0m holders-", "\nINFO module-",
		"\n\x1b[32mhealthy\x1b[0m: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if colours := strings.Count(text, "\x1b"); colours != 8 {
		t.Errorf("%d escape sequences, want 8: those of the host are printed as they are", colours)
	}
}
