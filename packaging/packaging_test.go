// Package packaging tests what the packages have beside the programs: the alerts, the dashboard, `make install` and the
// packages themselves.
package packaging

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

const (
	rulesFile     = "prometheus/ctkeeper.rules.yml"
	rulesTestFile = "prometheus/ctkeeper.rules.test.yml"
	dashboardFile = "grafana/ctkeeper.json"
	// fleetDashboardFile shows what fleetRulesFile records.
	fleetDashboardFile = "grafana/ctkeeper-fleet.json"
)

// read decodes a file; JSON is YAML.
func read(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// command finds a program of Debian's package prometheus.
func command(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		netns.Cannot(t, "no %s: apt-get install prometheus", name)
	}
	return path
}

func TestRules(t *testing.T) {
	promtool := command(t, "promtool")
	for _, args := range [][]string{
		{"check", "rules", "--lint=all", "--lint-fatal", rulesFile, fleetRulesFile}, {"test", "rules", rulesTestFile},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Record, Expr string
			Labels, Annotations map[string]string
		}
	}
}

// TestAlertsSayWhatStatusSays checks that the levels of the alerts are those of the tables, that their severities are
// those of problems, and that each links to a part of the document that exists.
func TestAlertsSayWhatStatusSays(t *testing.T) {
	const document = "https://github.com/ctkeeper/ctkeeper/blob/main/docs/troubleshooting.md#"
	text, err := os.ReadFile("../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	// By the end of the alert's name.
	levels := map[string]struct {
		percent  int
		severity status.Severity
	}{
		"High":     {table.HighPercent, status.TableSeverity(table.Condition{Level: table.High})},
		"Critical": {table.CriticalPercent, status.TableSeverity(table.Condition{Level: table.Critical})},
		"Dropped":  {table.HighPercent, status.TableSeverity(table.Condition{Loss: table.Dropping})},
		"Evicted":  {0, status.TableSeverity(table.Condition{Loss: table.Evicting})},
		"Full":     {100, status.TableSeverity(table.Condition{Loss: table.Refusing})},
	}
	levelAlerts := 0
	var list rules
	read(t, rulesFile, &list)
	for _, rule := range list.Groups[0].Rules {
		anchor, isLink := strings.CutPrefix(rule.Annotations["runbook_url"], document)
		if !isLink || !strings.Contains(string(text), `<a name="`+anchor+`"></a>`) {
			t.Errorf("%s: docs/troubleshooting.md has no %q", rule.Alert, rule.Annotations["runbook_url"])
		}
		severity := status.Severity(rule.Labels["severity"])
		if severity != status.Warning && severity != status.Critical {
			t.Errorf("%s: no problem has the severity %s", rule.Alert, severity)
		}
		for end, want := range levels {
			if !strings.HasSuffix(rule.Alert, end) {
				continue
			}
			levelAlerts++
			if severity != want.severity ||
				want.percent > 0 && !strings.Contains(rule.Expr, fmt.Sprintf(" >= %d", want.percent)) {
				t.Errorf("%s: from %d %% on it is %s, not %s: %s",
					rule.Alert, want.percent, want.severity, severity, rule.Expr)
			}
		}
	}
	if levelAlerts != 7 {
		t.Errorf("%d alerts of levels and losses, want 7", levelAlerts)
	}
}

// TestEveryAlertIsTested checks that each alert fires at one time of its test and is silent at another.
func TestEveryAlertIsTested(t *testing.T) {
	var list rules
	read(t, rulesFile, &list)
	var tests struct {
		Tests []struct {
			Moments []struct {
				Alertname string
				Expected  []any `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	read(t, rulesTestFile, &tests)
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tests.Tests {
		for _, moment := range test.Moments {
			if len(moment.Expected) > 0 {
				fires[moment.Alertname] = true
			} else {
				silent[moment.Alertname] = true
			}
		}
	}
	for _, group := range list.Groups {
		for _, rule := range group.Rules {
			if !fires[rule.Alert] || !silent[rule.Alert] {
				t.Errorf("%s: fires in a test: %t, is silent in one: %t",
					rule.Alert, fires[rule.Alert], silent[rule.Alert])
			}
		}
	}
}

type dashboard struct {
	UID         string
	Panels      []panel
	Annotations struct {
		List []struct{ Name, Expr string }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	Description string
	GridPos     struct{ X, Y, W, H int } `json:"gridPos"`
	Targets     []struct {
		RefID        string `json:"refId"`
		Expr         string
		LegendFormat string `json:"legendFormat"`
	}
	FieldConfig struct {
		Defaults struct {
			Thresholds struct{ Steps []step }
		}
	} `json:"fieldConfig"`
}

// step is the colour from a value on.
type step struct {
	Color string
	Value float64
}

func readDashboard(t *testing.T, file string) dashboard {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return d
}

// queries returns the queries of the dashboard by panel and annotation.
func (d dashboard) queries() map[string]string {
	queries := map[string]string{}
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries[p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			queries["annotation "+a.Name] = a.Expr
		}
	}
	return queries
}

func TestDashboards(t *testing.T) {
	for file, selector := range map[string]string{
		dashboardFile: `instance=~"$instance"`, fleetDashboardFile: `job=~"$job"`,
	} {
		t.Run(file, func(t *testing.T) { testDashboard(t, readDashboard(t, file), selector) })
	}
}

// testDashboard checks the panels of a dashboard, and that all its queries use its variable.
func testDashboard(t *testing.T, d dashboard, selector string) {
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("panel %d %q has the id of another panel, or no title, description or query", p.ID, p.Title)
		}
		ids[p.ID] = true
		if at := p.GridPos; at.X < 0 || at.W < 1 || at.X+at.W > 24 {
			t.Errorf("panel %q is wider than the dashboard: %+v", p.Title, at)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panel %q covers %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
	for where, query := range d.queries() {
		if !strings.Contains(query, selector) {
			t.Errorf("%s does not use %s: %s", where, selector, query)
		}
	}
}

// TestDashboardSaysWhatStatusSays checks the words of the counters and the levels of the tables.
func TestDashboardSaysWhatStatusSays(t *testing.T) {
	d := readDashboard(t, dashboardFile)
	legends := map[string]string{}
	levels := 0
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			legends[target.LegendFormat] = target.Expr
		}
		if !strings.Contains(p.Title, "fill") {
			continue
		}
		levels++
		want := []step{{"green", 0}, {"yellow", table.HighPercent}, {"red", table.CriticalPercent}}
		if diff := cmp.Diff(want, p.FieldConfig.Defaults.Thresholds.Steps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Title, diff)
		}
	}
	if levels != 3 {
		t.Errorf("%d panels of a fill, want 3", levels)
	}
	for _, c := range status.Counters() {
		expr, found := legends["{{instance}} "+c.Word]
		if c.IsLoss && (!found || !strings.Contains(expr, fmt.Sprintf("event=%q", c.Name))) {
			t.Errorf("no line %q of %s: %s", c.Word, c.Name, expr)
		}
	}
}

// TestMetricsAreInTheReference checks that docs/metrics.md has each metric of the rules and the dashboard.
func TestMetricsAreInTheReference(t *testing.T) {
	reference, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	metric := regexp.MustCompile("(?m)^\\| `(ctkeeper_\\w+)` \\| (\\w+) ")
	for _, row := range metric.FindAllStringSubmatch(string(reference), -1) {
		known = append(known, row[1])
		if row[2] == "histogram" {
			known = append(known, row[1]+"_bucket", row[1]+"_sum", row[1]+"_count")
		}
	}
	if len(known) == 0 {
		t.Fatal("no metrics in docs/metrics.md")
	}
	queries := readDashboard(t, dashboardFile).queries()
	for _, variable := range readDashboard(t, dashboardFile).Templating.List {
		queries["variable "+variable.Name] = variable.Definition
	}
	for _, file := range []string{rulesFile, fleetRulesFile} {
		var list rules
		read(t, file, &list)
		for _, rule := range list.Groups[0].Rules {
			queries["rule "+rule.Alert+rule.Record] = rule.Expr
		}
	}
	recorded := regexp.MustCompile(`\bjob\w*:\w+:\w+`)
	for where, query := range queries {
		query = recorded.ReplaceAllString(query, "")
		for _, name := range regexp.MustCompile(`\bctkeeper_\w+`).FindAllString(query, -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: no metric %s in docs/metrics.md", where, name)
			}
		}
	}
}
