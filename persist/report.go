package persist

import "slices"

// Failed is the change of a file that could not be made.
const Failed Change = "failed"

// Report is the document behind ctkeeper persist.
type Report struct {
	// DryRun says that nothing was done: the files' changes are those to come.
	DryRun bool         `json:"dry_run"`
	Files  []FileReport `json:"files"`
	// Diff is what changes, as a unified diff.
	Diff string `json:"diff"`
	// Loaded says that nf_conntrack was loaded on top.
	Loaded bool     `json:"loaded"`
	Notes  []string `json:"notes"`
	Errors []string `json:"errors"`
}

// FileReport is what became of one file.
type FileReport struct {
	Path   string `json:"path"`
	Change Change `json:"change"`
}

// Report tells of a plan. Changed are the paths that Write gave, of a dry run none.
func (p Plan) Report(changed []string, dryRun bool) Report {
	r := Report{DryRun: dryRun, Files: []FileReport{}, Diff: p.Diff(), Notes: append([]string{}, p.Notes...), Errors: []string{}}
	for _, f := range p.Files {
		if f.Content == nil && f.Before == nil {
			continue // nothing to tell of a file that is not there and need not be
		}
		change := f.Change()
		if change != Unchanged && !dryRun && !slices.Contains(changed, f.Path) {
			change = Failed
		}
		r.Files = append(r.Files, FileReport{f.Path, change})
	}
	return r
}
