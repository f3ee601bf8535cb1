package metrics

import (
	_ "embed"
	"fmt"
	"strings"
)

// referenceText is all of the reference that is not in families, whose place is
// {metrics}.
//
//go:embed reference.md
var referenceText string

// Reference is docs/metrics.md, generated from the metrics themselves.
func Reference() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it is |\n|---|---|---|---|\n")
	for _, f := range families() {
		labels := ""
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		text := f.help
		if f.absent != "" {
			text += " Absent where " + f.absent + "."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, text)
	}
	return strings.ReplaceAll(referenceText, "{metrics}", strings.TrimSpace(b.String()))
}
