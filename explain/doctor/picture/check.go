package picture

import "github.com/ctkeeper/ctkeeper/explain/doctor/finding"

// Check is a pure function from a picture to findings.
type Check func(*Host) []finding.Finding

// Run returns the findings of the checks, in their order.
func (h *Host) Run(checks ...Check) []finding.Finding {
	var found []finding.Finding
	for _, check := range checks {
		found = append(found, check(h)...)
	}
	return found
}
