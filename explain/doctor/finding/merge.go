package finding

import (
	"slices"
	"strings"
)

// Merge joins problems that have equal fixes into one finding with all their evidence. The worst
// severity names the result; among equals the first finding does.
func Merge(all []Finding) []Finding {
	var merged []Finding
	for _, f := range all {
		i := slices.IndexFunc(merged, func(g Finding) bool {
			return g.Severity != Info && f.Severity != Info && slices.EqualFunc(g.Fix, f.Fix, Step.Equal)
		})
		if i < 0 {
			merged = append(merged, f)
			continue
		}
		merged[i] = join(merged[i], f)
	}
	return merged
}

// join makes one finding of two. Of two notes the one that contains the other is kept.
func join(a, b Finding) Finding {
	if b.Severity.Rank() < a.Severity.Rank() {
		a, b = b, a
	}
	a.Evidence = Unique(slices.Concat(a.Evidence, b.Evidence))
	if strings.Contains(b.Note, a.Note) {
		a.Note = b.Note
	}
	return a
}
