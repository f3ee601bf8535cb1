package persist

import "slices"

// Failed is the change of a file that could not be written or removed.
const Failed Change = "failed"

// Report is the result of ctkeeper persist, as a document.
type Report struct {
	// DryRun is true if nothing was changed: the changes are those that persist would make.
	DryRun bool         `json:"dry_run"`
	Files  []FileReport `json:"files"`
	// Diff is the changes as a unified diff.
	Diff string `json:"diff"`
	// Loaded is true if nf_conntrack was loaded afterwards.
	Loaded bool     `json:"loaded"`
	Notes  []string `json:"notes"`
	Errors []string `json:"errors"`
}

// FileReport is the change of one file.
type FileReport struct {
	Path   string `json:"path"`
	Change Change `json:"change"`
}

// Report returns the report of a plan. changed are the paths that Write returned, none in a dry run.
func (p Plan) Report(changed []string, dryRun bool) Report {
	notes := append([]string{}, p.Notes...)
	r := Report{DryRun: dryRun, Files: []FileReport{}, Diff: p.Diff(), Notes: notes, Errors: []string{}}
	for _, f := range p.Files {
		if f.Content == nil && f.Before == nil {
			continue // it does not exist, and should not
		}
		change := f.Change()
		if change != Unchanged && !dryRun && !slices.Contains(changed, f.Path) {
			change = Failed
		}
		r.Files = append(r.Files, FileReport{f.Path, change})
	}
	return r
}
