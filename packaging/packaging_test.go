// Package packaging tests the files of the packages that are not Go: the alerts and the dashboard.
package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const (
	rulesFile     = "prometheus/ctkeeper.rules.yml"
	rulesTestFile = "prometheus/ctkeeper.rules.test.yml"
	dashboardFile = "grafana/ctkeeper.json"
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
		{"check", "rules", "--lint=all", "--lint-fatal", rulesFile}, {"test", "rules", rulesTestFile},
	} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

type rules struct {
	Groups []struct {
		Rules []struct{ Alert, Expr string }
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
		RefID string `json:"refId"`
		Expr  string
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
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

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
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
		if !strings.Contains(query, `instance=~"$instance"`) {
			t.Errorf("%s does not use the variable instance: %s", where, query)
		}
	}
}

// TestMetricsAreInTheReference checks that docs/metrics.md has each metric of the alerts and the dashboard.
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
	queries := readDashboard(t).queries()
	for _, variable := range readDashboard(t).Templating.List {
		queries["variable "+variable.Name] = variable.Definition
	}
	var list rules
	read(t, rulesFile, &list)
	for _, group := range list.Groups {
		for _, rule := range group.Rules {
			queries["alert "+rule.Alert] = rule.Expr
		}
	}
	for where, query := range queries {
		for _, name := range regexp.MustCompile(`\bctkeeper_\w+`).FindAllString(query, -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s: no metric %s in docs/metrics.md", where, name)
			}
		}
	}
}
