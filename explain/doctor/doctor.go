package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/explain/doctor/boot"
	"github.com/ctkeeper/ctkeeper/explain/doctor/expectation"
	"github.com/ctkeeper/ctkeeper/explain/doctor/files"
	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
	"github.com/ctkeeper/ctkeeper/explain/doctor/fixes"
	"github.com/ctkeeper/ctkeeper/explain/doctor/ground"
	"github.com/ctkeeper/ctkeeper/explain/doctor/guard"
	"github.com/ctkeeper/ctkeeper/explain/doctor/holder"
	"github.com/ctkeeper/ctkeeper/explain/doctor/module"
	"github.com/ctkeeper/ctkeeper/explain/doctor/owners"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/doctor/self"
	"github.com/ctkeeper/ctkeeper/explain/doctor/sizing"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// ErrNothing is returned for a tree without any directory of a host.
var ErrNothing = errors.New("nothing to examine")

// Report is the document of doctor.
type Report struct {
	Root         string `json:"root"`
	Distribution string `json:"distribution"`
	// Kernel is the running kernel's release; "" where none runs.
	Kernel string `json:"kernel"`
	// Healthy is true where no finding is an error or a warning.
	Healthy  bool              `json:"healthy"`
	Findings []finding.Finding `json:"findings"`
	// NotRead is what could not be read, and why.
	NotRead []finding.Evidence `json:"not_read"`
}

// topics returns the topics in the order of the report.
func topics() []picture.Check {
	return []picture.Check{
		module.Check, owners.Check, boot.Check, ground.Check, files.Check, holder.Check, expectation.Check,
		sizing.Check, self.Check, guard.Check,
	}
}

// Examine reads a host and runs all topics. What cannot be read is in Report.NotRead, or a finding. The
// error is ErrNothing, or that of the context.
func Examine(ctx context.Context, opts picture.Options) (Report, error) {
	t := opts.Source.Tree()
	if err := checkTree(t); err != nil {
		return Report{}, err
	}
	h := picture.Take(ctx, t, opts)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("cannot examine the host: %w", err)
	}
	return newReport(h), nil
}

// checkTree returns ErrNothing where a tree has none of the directories that a host has.
func checkTree(t tree.Tree) error {
	dirs := []string{"/etc", "/lib/modules", "/usr/lib/modules", "/proc", "/sys"}
	if slices.ContainsFunc(dirs, t.Exists) {
		return nil
	}
	return fmt.Errorf("cannot examine %s: %w: no %s", cmp.Or(t.Root(), "/"), ErrNothing, strings.Join(dirs, ", no "))
}

// newReport runs all topics and sorts the findings, the worst first. The lists of the document are never
// null.
func newReport(h *picture.Host) Report {
	r := Report{
		Root: cmp.Or(h.Root, "/"), Distribution: h.Distro.Name, Kernel: h.Release,
		Healthy: true, Findings: []finding.Finding{}, NotRead: append([]finding.Evidence{}, h.NotRead...),
	}
	for _, f := range h.Run(topics()...) {
		f = fixes.Offer(h, f)
		f.Evidence = append([]finding.Evidence{}, finding.Unique(f.Evidence)...) // a line can set several
		f.Fix = append([]finding.Step{}, f.Fix...)
		r.Findings = append(r.Findings, f)
		r.Healthy = r.Healthy && f.Severity == finding.Info
	}
	slices.SortStableFunc(r.Findings, func(a, b finding.Finding) int { return a.Severity.Rank() - b.Severity.Rank() })
	return r
}
