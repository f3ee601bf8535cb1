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
	"github.com/ctkeeper/ctkeeper/explain/doctor/guard"
	"github.com/ctkeeper/ctkeeper/explain/doctor/holder"
	"github.com/ctkeeper/ctkeeper/explain/doctor/module"
	"github.com/ctkeeper/ctkeeper/explain/doctor/owners"
	"github.com/ctkeeper/ctkeeper/explain/doctor/picture"
	"github.com/ctkeeper/ctkeeper/explain/doctor/self"
	"github.com/ctkeeper/ctkeeper/explain/doctor/sizing"
	"github.com/ctkeeper/ctkeeper/host/tree"
)

// Examine looks at a host once, and asks every check. What cannot be looked at
// stops nothing: it is in Report.NotLooked, or a finding. The error is ErrNothing
// where there is nothing to look at, or the context's.
func Examine(ctx context.Context, opts picture.Options) (Report, error) {
	t := tree.At(opts.Root)
	if err := hasSomething(t); err != nil {
		return Report{}, err
	}
	h := picture.Take(ctx, t, opts)
	if err := ctx.Err(); err != nil {
		return Report{}, fmt.Errorf("cannot examine the host: %w", err)
	}
	return newReport(h), nil
}

// newReport runs every check and sorts the findings, the worst first.
func newReport(h *picture.Host) Report {
	r := Report{
		Root: cmp.Or(h.Tree.Root(), "/"), Distribution: h.Distro.Name, Kernel: h.Release,
		Healthy: true, Findings: []finding.Finding{}, NotLooked: append([]finding.Evidence{}, h.NotLooked...),
	}
	for _, f := range h.Run(checks()...) {
		f.Evidence = append([]finding.Evidence{}, f.Evidence...) // never null for programs
		f.Fix = append([]string{}, f.Fix...)
		r.Findings = append(r.Findings, f)
		r.Healthy = r.Healthy && f.Severity == finding.Info
	}
	slices.SortStableFunc(r.Findings, func(a, b finding.Finding) int { return a.Severity.Rank() - b.Severity.Rank() })
	return r
}

// hasSomething is nil where the tree has at least one directory that a host has.
func hasSomething(t tree.Tree) error {
	places := []string{"/etc", "/lib/modules", "/usr/lib/modules", "/proc", "/sys"}
	if slices.ContainsFunc(places, t.Exists) {
		return nil
	}
	return fmt.Errorf("cannot examine %s: %w: no %s", cmp.Or(t.Root(), "/"), ErrNothing, strings.Join(places, ", no "))
}

// Report is what was found.
type Report struct {
	Root         string `json:"root"`
	Distribution string `json:"distribution"`
	// Kernel is the running kernel's release, or "".
	Kernel string `json:"kernel"`
	// Healthy is true where no finding is an error or a warning.
	Healthy  bool              `json:"healthy"`
	Findings []finding.Finding `json:"findings"`
	// NotLooked says what could not be looked at, and why.
	NotLooked []finding.Evidence `json:"not_looked"`
}

// ErrNothing is a tree with nothing in it to look at.
var ErrNothing = errors.New("nothing to look at")

// checks returns the topics in the order of the report.
func checks() []picture.Check {
	return []picture.Check{
		module.Check, owners.Check, boot.Check, files.Check, holder.Check, expectation.Check, sizing.Check, self.Check, guard.Check,
	}
}
