package metrics

import (
	_ "embed"
	"fmt"
	"strings"
)

// referenceText is the reference without the table of families, which replaces {metrics}.
//
//go:embed reference.md
var referenceText string

// Reference returns the text of docs/metrics.md.
func Reference() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, f := range families() {
		labels := ""
		if len(f.labels) > 0 {
			labels = "`" + strings.Join(f.labels, "`, `") + "`"
		}
		text := f.help
		if f.absent != "" {
			text += " Absent if " + f.absent + "."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, f.kind, labels, text)
	}
	return strings.ReplaceAll(referenceText, "{metrics}", strings.TrimSpace(b.String()))
}
