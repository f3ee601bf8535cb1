package packaging

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/internal/document"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

const (
	fleetRulesFile = "prometheus/ctkeeper.fleet.rules.yml"
	fleetDocument  = "../docs/fleet.md"
	// fleetSpeed is by how much the durations in rules and queries are shortened, so that no test waits for 5 minutes.
	fleetSpeed  = 15
	fleetConfig = `
settings:
  hashsize: 262144
  max: 1048576
  expect_max: 8192
  tcp_timeout_established: 24h
  udp_timeout_stream: {at_least: 180s}
`
)

// duration matches a duration in a range or a subquery of PromQL, of an alert, or of Alertmanager's groups.
var duration = regexp.MustCompile(`([\[:]|(?:for|group_wait|group_interval|repeat_interval): )(\d+)([smhd])\b`)

// shorten divides the durations in rules or in a query by speed. Thresholds stay as they are.
func shorten(text string, speed int) string {
	return duration.ReplaceAllStringFunc(text, func(found string) string {
		part := duration.FindStringSubmatch(found)
		n, _ := strconv.Atoi(part[2]) // the pattern matches digits only
		n *= map[string]int{"s": 1, "m": 60, "h": 3600, "d": 86400}[part[3]]
		return fmt.Sprintf("%s%ds", part[1], n/speed)
	})
}

// shortRules writes the rules with shortened durations, and returns the files.
func shortRules(t testing.TB, speed int) (files []string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{rulesFile, fleetRulesFile} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		short := shorten(string(text), speed)
		if short == string(text) {
			t.Fatalf("%s has no duration", name)
		}
		files = append(files, filepath.Join(dir, filepath.Base(name)))
		if err := os.WriteFile(files[len(files)-1], []byte(short), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// newRealFleet runs a daemon and its exporter, and serves a fleet with the daemon's documents. It returns the addresses
// of the fleet and of the exporter.
func newRealFleet(t *testing.T) (f *fleet, address, exporter string) {
	t.Helper()
	root := kerneltree.New(t)
	kerneltree.Put(t, root, "proc/sys/kernel/osrelease", mainKernel+"\n")
	kerneltree.Put(t, root, "proc/sys/net/netfilter/nf_conntrack_count", "50000\n")
	exporter = freeAddress(t)
	startDaemon(t, root, exporter, fleetConfig)
	exporter = "http://" + exporter
	waitFor(t, exporter, "ctkeeper_contested_settings 0")
	f = newFleet(t, filepath.Join(root, "run/ctkeeper/ctkeeper.sock"))
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, server.URL, exporter
}

// scrapeFleet runs a Prometheus that scrapes a fleet, and returns the address of its API. It has the rules, and does in
// a minute / speed what it would do in a minute.
func scrapeFleet(t *testing.T, address string, speed int, alertmanager string) string {
	t.Helper()
	api := freeAddress(t)
	startPrometheus(t, command(t, "prometheus"), api, fmt.Sprintf(`
global: {scrape_interval: %[1]ds, scrape_timeout: %[1]ds, evaluation_interval: %[1]ds}
rule_files: [%[2]s]
alerting: {alertmanagers: [{static_configs: [{targets: [%[4]q]}]}]}
scrape_configs:
  - {job_name: ctkeeper, http_sd_configs: [{url: "%[3]s/targets/ctkeeper"}]}
  - {job_name: node, http_sd_configs: [{url: "%[3]s/targets/node"}]}
`, 60/speed, strings.Join(shortRules(t, speed), ", "), address, alertmanager))
	return "http://" + api
}

// TestFleet has a Prometheus with the rules scrape a fleet of hosts. The alerts that fire, what is recorded, and the
// answers to the queries of docs/fleet.md have to be those that follow from what is wrong with the hosts.
func TestFleet(t *testing.T) {
	f, address, _ := newRealFleet(t)
	pager := startAlertmanager(t)
	api := scrapeFleet(t, address, fleetSpeed, pager.alertmanager)
	want := f.alerts()
	wait(t, "every alert", func() bool {
		return len(missing(want, firing(t, api))) == 0
	}, func() string { return fmt.Sprintf("%q", missing(want, firing(t, api))) })
	if others := missing(firing(t, api), want); len(others) > 0 {
		t.Errorf("alerts of hosts without the fault: %q", others)
	}
	for _, name := range alertNames(t) {
		if !slices.ContainsFunc(want, func(alert string) bool { return strings.HasPrefix(alert+" ", name+" ") }) {
			t.Errorf("no host has what %s is for", name)
		}
	}
	t.Logf("%d alerts fire", len(want))
	t.Run("recorded", func(t *testing.T) { f.testRecorded(t, api) })
	t.Run("messages", func(t *testing.T) { f.testMessages(t, pager, len(want)) })
	t.Run("dashboard", func(t *testing.T) {
		for where, query := range readDashboard(t, fleetDashboardFile).queries() {
			if len(values(t, api, substitute(query))) == 0 {
				t.Errorf("%s: no data for %s", where, query)
			}
		}
	})
	t.Run("queries", func(t *testing.T) { f.testQueries(t, api) })
}

// alertNames returns the names of all alerts.
func alertNames(t *testing.T) (names []string) {
	t.Helper()
	for _, file := range []string{rulesFile, fleetRulesFile} {
		var list rules
		read(t, file, &list)
		for _, rule := range list.Groups[0].Rules {
			if rule.Alert != "" {
				names = append(names, rule.Alert)
			}
		}
	}
	return names
}

// firing returns the alerts that fire, as "NAME HOST SETTING".
func firing(t *testing.T, api string) []string {
	t.Helper()
	return answers(t, api, `count by (alertname, instance, setting, hash) (ALERTS{alertstate="firing"})`,
		only("alertname", "instance", "hash", "setting"))
}

// alerts returns the alerts that the faults of the hosts call for, as firing does.
func (f *fleet) alerts() (list []string) {
	for _, h := range f.hosts {
		for _, alert := range h.fault.alerts {
			name, setting, _ := strings.Cut(alert, " ")
			list = append(list, strings.TrimSpace(name+" "+h.name+" "+setting))
		}
	}
	list = append(list, "CtkeeperManyHostsDown", "CtkeeperConfigSuspect "+canaryHash)
	return list
}

// missing returns the texts of a list that another one lacks.
func missing(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(text string) bool { return slices.Contains(other, text) })
}

// A sample is one series of an answer of Prometheus.
type sample struct {
	Metric map[string]string
	Value  []any
}

// number returns the value.
func (s sample) number() string { return fmt.Sprint(s.Value[1]) }

// answers returns the samples of an answer in its order, each as format has it.
func answers(t *testing.T, api, query string, format func(sample) string) (list []string) {
	t.Helper()
	var answer struct{ Result []sample }
	get(t, api+"/api/v1/query?query="+url.QueryEscape(query), &answer)
	for _, s := range answer.Result {
		list = append(list, format(s))
	}
	return list
}

// fleetBlocks returns the blocks of docs/fleet.md in a language, by the comment in their first line.
func fleetBlocks(t *testing.T, language string) map[string]*document.Block {
	t.Helper()
	d, err := document.Read(fleetDocument)
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]*document.Block{}
	for _, b := range d.Blocks {
		if b.Info == language {
			blocks[strings.TrimPrefix(b.Lines[0], "# ")] = b
		}
	}
	return blocks
}

// testQueries compares the answer to each query of docs/fleet.md with what the hosts have.
func (f *fleet) testQueries(t *testing.T, api string) {
	questions := f.questions()
	for title, b := range fleetBlocks(t, "promql") {
		q, known := questions[title]
		delete(questions, title)
		if !known {
			t.Errorf("%s:%d: no answer is known to %q", fleetDocument, b.Line, title)
			continue
		}
		got := answers(t, api, shorten(strings.Join(b.Lines, "\n"), fleetSpeed), q.format)
		if !q.ordered {
			slices.Sort(got)
			slices.Sort(q.want)
		}
		if diff := cmp.Diff(q.want, got); diff != "" || len(got) == 0 {
			t.Errorf("%s:%d: %s: %d samples (-want +got):\n%s", fleetDocument, b.Line, title, len(got), diff)
		}
	}
	for title := range questions {
		t.Errorf("%s does not ask %q", fleetDocument, title)
	}
}

// testRecorded compares every recorded series with what the hosts have.
func (f *fleet) testRecorded(t *testing.T, api string) {
	want := f.recorded()
	var list rules
	read(t, fleetRulesFile, &list)
	for _, rule := range list.Groups[0].Rules {
		if rule.Record == "" {
			continue
		}
		expected, known := want[rule.Record]
		if !known {
			t.Errorf("%s: no value is known", rule.Record)
		}
		isRate := strings.HasSuffix(rule.Record, ":rate5m")
		got := answers(t, api, rule.Record, func(s sample) string {
			if isRate {
				return labels(s, "job", "event") + " " + strconv.FormatBool(s.number() != "0")
			}
			return labels(s, "job", "version", "release", "hash", "setting", "by", "table") + " " + s.number()
		})
		slices.Sort(got)
		slices.Sort(expected)
		if diff := cmp.Diff(expected, got); diff != "" || len(got) == 0 {
			t.Errorf("%s: %d series (-want +got):\n%s", rule.Record, len(got), diff)
		}
	}
}

// labels returns the values of the labels that a sample has.
func labels(s sample, names ...string) string {
	var values []string
	for _, name := range names {
		if value, found := s.Metric[name]; found {
			values = append(values, value)
		}
	}
	return strings.Join(values, " ")
}

// TestFleetDocument checks the other blocks of docs/fleet.md, and that the alerts on many hosts link to its parts.
// TestCollection has the playbook, TestChartDocuments the chart's values, and TestTreeDocuments of cmd/ctkeeper the
// commands.
func TestFleetDocument(t *testing.T) {
	dir := t.TempDir()
	blocks := fleetBlocks(t, "yaml")
	for file, name := range map[string]string{
		"prometheus.yml": "prometheus.yml", "r01.yml": "/etc/prometheus/ctkeeper/r01.yml",
	} {
		text := strings.Join(blocks[name].Lines, "\n") + "\n"
		text = strings.ReplaceAll(text, "/etc/prometheus/ctkeeper/", dir+"/r")
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range shortRules(t, 1) {
		if err := os.Rename(file, filepath.Join(dir, filepath.Base(file))); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), command(t, "promtool"), "check", "config",
		filepath.Join(dir, "prometheus.yml")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "2 rule files found") {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
	text, err := os.ReadFile(fleetDocument)
	if err != nil {
		t.Fatal(err)
	}
	var list rules
	read(t, fleetRulesFile, &list)
	for _, rule := range list.Groups[0].Rules {
		if rule.Annotations == nil {
			continue
		}
		part, isLink := strings.CutPrefix(rule.Annotations["runbook_url"],
			"https://github.com/ctkeeper/ctkeeper/blob/main/docs/fleet.md#")
		heading := "## " + strings.ReplaceAll(part, "-", " ") + "\n"
		if !isLink || !strings.Contains(strings.ToLower(string(text)), heading) {
			t.Errorf("docs/fleet.md has no %q", rule.Annotations["runbook_url"])
		}
	}
}
