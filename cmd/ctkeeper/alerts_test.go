package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/internal/netns"
	"github.com/ctkeeper/ctkeeper/metrics"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// ruleFile has the alerts.
const ruleFile = "../../packaging/prometheus/ctkeeper.rules.yml"

// TestAlertsAgree checks that the alerts on the metrics of a host have the severity that its status has, and call its
// fill the same. It passes what the exporter serves at the last two looks to promtool, as if it went on like that.
func TestAlertsAgree(t *testing.T) {
	var series []promSeries
	alerts := promQuery{Expr: `count by (instance, alertname) (ALERTS{alertstate="firing"})`}
	shares := map[string]*promQuery{
		table.Connections: {Expr: shareOf(t, "CtkeeperTableHigh")}, table.Expectations: {
			Expr: shareOf(t, "CtkeeperExpectationsHigh")},
	}
	severities := map[string]status.Severity{}
	for _, rule := range alertRules(t) {
		severities[rule.Alert] = status.Severity(rule.Labels["severity"])
	}
	for i, a := range agreements {
		instance := fmt.Sprintf("host%d", i)
		before, shown, _ := a.documents()
		series = append(series, promValues(t, instance, before, shown)...)
		var fire []status.Severity
		for _, alert := range a.alerts {
			alerts.add(fmt.Sprintf("{instance=%q, alertname=%q}", instance, alert), 1)
			fire = append(fire, severities[alert])
		}
		// An alert also looks at the time before, as the journal does.
		if fire != nil && a.reports == "" && slices.Min(fire) != a.severity {
			t.Errorf("%s: the alerts %v are %v, the status is %s", a.name, a.alerts, fire, a.severity)
		}
		level := scrape(t, shown)[fmt.Sprintf("ctkeeper_table_pressure{table=%q}", cmp.Or(a.about, table.Connections))]
		if want := slices.Index([]table.Level{table.Normal, table.High, table.Critical}, a.level); int(level) != want {
			t.Errorf("%s: ctkeeper_table_pressure is %g, want %d", a.name, level, want)
		}
		for name, q := range shares {
			q.add(fmt.Sprintf(`{instance=%q, job="ctkeeper"}`, instance), shareNumber(t, name, shown))
		}
	}
	runPromtool(t, promTest{
		Interval: "1m", Series: series,
		Queries: []promQuery{alerts, *shares[table.Connections], *shares[table.Expectations]},
	})
}

// runPromtool runs a test of the alerts.
func runPromtool(t *testing.T, test promTest) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		netns.Cannot(t, "no promtool: apt-get install prometheus")
	}
	for i := range test.Queries {
		test.Queries[i].Time = "20m"
	}
	rules, err := filepath.Abs(ruleFile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "test.yml")
	content, err := yaml.Marshal(map[string]any{"rule_files": []string{rules}, "tests": []promTest{test}})
	if err == nil {
		err = os.WriteFile(file, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// shareOf returns the expression of the share in an alert of a level.
func shareOf(t *testing.T, alert string) string {
	t.Helper()
	for _, rule := range alertRules(t) {
		if share, _, isLevel := strings.Cut(rule.Expr, " >= "); rule.Alert == alert && isLevel {
			return share
		}
	}
	t.Fatalf("no alert %s of a level", alert)
	return ""
}

type alertRule struct {
	Alert, Expr string
	Labels      map[string]string
}

func alertRules(t *testing.T) []alertRule {
	t.Helper()
	var list struct{ Groups []struct{ Rules []alertRule } }
	content, err := os.ReadFile(ruleFile)
	if err == nil {
		err = yaml.Unmarshal(content, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list.Groups[0].Rules
}

// A promTest is a test of promtool.
type promTest struct {
	Interval string
	Series   []promSeries `yaml:"input_series"`
	Queries  []promQuery  `yaml:"promql_expr_test"`
}

type promSeries struct{ Series, Values string }

type promQuery struct {
	Expr    string
	Time    string       `yaml:"eval_time"`
	Samples []promSample `yaml:"exp_samples"`
}

type promSample struct {
	Labels string
	Value  float64
}

func (q *promQuery) add(labels string, value float64) {
	q.Samples = append(q.Samples, promSample{labels, value})
}

// promValues returns the series of a host whose counters go on growing as they did between two looks.
func promValues(t *testing.T, instance string, before, shown status.Document) (series []promSeries) {
	t.Helper()
	old, now := scrape(t, before), scrape(t, shown)
	for name, value := range now {
		metric, labels, _ := strings.Cut(strings.TrimSuffix(name, "}"), "{")
		values := fmt.Sprintf("%gx20", value)
		if strings.HasSuffix(metric, "_total") {
			values = fmt.Sprintf("%g+%gx20", value, value-old[name])
		}
		name = fmt.Sprintf(`%s{instance=%q,job="ctkeeper",%s}`, metric, instance, labels)
		series = append(series, promSeries{name, values})
	}
	return series
}

// scrape returns what the exporter serves of the tables.
func scrape(t *testing.T, d status.Document) map[string]float64 {
	t.Helper()
	served := answer(metrics.New(fixed{d}, func(error) {}).Handler(), "/metrics")
	values := map[string]float64{}
	line := regexp.MustCompile(`(?m)^(ctkeeper_(?:conntrack|expectations|table|setting_in|enforcing)\S*) (\S+)$`)
	for _, match := range line.FindAllStringSubmatch(served, -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		values[match[1]] = value
	}
	return values
}

// shareNumber returns the number of what the views call the share of a table: 0 for "<1 %".
func shareNumber(t *testing.T, name string, d status.Document) float64 {
	t.Helper()
	entries, limit := d.Table.Entries, d.Table.Max
	if name == table.Expectations {
		entries, limit = d.Table.Expectations, d.Table.ExpectMax
	}
	share, _ := status.Share(*entries, *limit)
	if strings.HasPrefix(share, "<") {
		return 0
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(share, " %"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
