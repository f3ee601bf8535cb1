package packaging

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
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
)

// current compares a generated file with what it should have, or with -update writes it.
func current(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		write(t, file, want)
		return
	}
	got, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is out of date, run make texts (-want +got):\n%s", file, diff)
	}
}

// TestChartCopiesAreCurrent: a chart can only have files below its own directory, so it has copies of the rules and of
// the dashboards.
func TestChartCopiesAreCurrent(t *testing.T) {
	for _, file := range []string{rulesFile, fleetRulesFile, dashboardFile, fleetDashboardFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		current(t, filepath.Join(chartDir, "files", filepath.Base(file)), string(text))
	}
}

// TestChartReadmeIsCurrent generates the table of values, in which each has a description.
func TestChartReadmeIsCurrent(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), chartTool(t, "github.com/norwoodj/helm-docs/cmd/helm-docs"),
		"--chart-search-root="+chartDir, "--sort-values-order=file", "--dry-run")
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("helm-docs: %v\n%s", err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?m)^\| (\S+) \|.*\| (.*) \|$`).FindAllStringSubmatch(string(out), -1)
	for _, row := range table {
		if row[2] == "" {
			t.Errorf("values.yaml has no comment that begins with \"# -- \" above %s", row[1])
		}
	}
	if len(table) < 40 {
		t.Errorf("helm-docs found %d values:\n%s", len(table), out)
	}
	current(t, chartDir+"/README.md", strings.TrimRight(string(out), "\n")+"\n")
}

const manifestsHeader = `# ctkeeper as plain manifests, rendered from packaging/helm/ctkeeper by make texts.
# Write your image in place of registry.example.com/ctkeeper, and see docs/kubernetes.md.
---
apiVersion: v1
kind: Namespace
metadata:
  name: ctkeeper
  labels:
    # For host paths and the host's network. No container is privileged.
    pod-security.kubernetes.io/enforce: privileged
`

// TestManifestsAreCurrent renders the plain manifests: the chart's defaults, without Helm's own labels.
func TestManifestsAreCurrent(t *testing.T) {
	text, stderr, err := helm(t, "template", "ctkeeper", chartDir, "--namespace=ctkeeper", "--kube-version="+kubernetes,
		"--set=image.repository=registry.example.com/ctkeeper")
	if err != nil {
		t.Fatal(stderr)
	}
	manifests := manifestsHeader
	for line := range strings.Lines(text) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "helm.sh/chart:", "app.kubernetes.io/managed-by:":
		case "#":
			if !strings.HasPrefix(line, "# Source: ") {
				manifests += line
			}
		default:
			manifests += line
		}
	}
	for _, o := range objects(t, manifests) {
		if o.Metadata.Labels["helm.sh/chart"] != "" {
			t.Errorf("%s %s has Helm's labels", o.Kind, o.Metadata.Name)
		}
	}
	current(t, manifestsFile, manifests)
}

func TestChartVersion(t *testing.T) {
	var chart struct {
		Version    string
		AppVersion string `yaml:"appVersion"`
	}
	read(t, chartDir+"/Chart.yaml", &chart)
	if want := changelogVersion(t); chart.Version != want || chart.AppVersion != want {
		t.Errorf("chart %s of ctkeeper %s, want %s as in CHANGELOG.md", chart.Version, chart.AppVersion, want)
	}
}

// TestChartRefuses has mistakes in values, and what helm prints about them.
func TestChartRefuses(t *testing.T) {
	profile := func(number, rest string) string { return "profiles[" + number + "]." + rest }
	many := "priorityClassName="
	for i := range 9 {
		number := strconv.Itoa(i)
		many += "," + profile(number, "name=a"+number) + "," + profile(number, "nodeSelector.a=v"+number) + "," +
			profile(number, "nodeSelector.b=c")
	}
	for _, test := range []struct{ set, want string }{
		{"gaurd.bpf=true", "additional properties 'gaurd' not allowed"},
		{"guard.bpf=yess", "'/guard/bpf': got string, want boolean"},
		{"config.setings.max=1", "'/config': additional properties 'setings' not allowed"},
		{"config.guard=look", "'/config/guard': value must be one of false, 'off', 'watch', 'hold', 'lock'"},
		{"config.guard=lock", "guard: lock, which needs guard.bpf: true"},
		{"guard.perfmon=true", "guard.perfmon needs guard.bpf: true"},
		{"image.digest=sha256:12", "'/image/digest': 'sha256:12' does not match pattern"},
		{"image.repository=", "image.repository is empty: build the image"},
		{"image.repository=localhost:5000/x:1", "'/image/repository': 'localhost:5000/x:1' does not match pattern"},
		{"exporter.port=0", "'/exporter/port': minimum: got 0, want 1"},
		{"exporter.listen=127.0.0.1", "'/exporter/listen': value must be one of 'all', 'node', 'loopback'"},
		{"podMonitor.enabled=true,serviceMonitor.enabled=true", "every pod would be scraped twice"},
		{"podMonitor.enabled=true,exporter.enabled=false", "need exporter.enabled: true"},
		{"podMonitor.enabled=true,exporter.listen=loopback", "an exporter.listen that is not loopback"},
		{"serviceMonitor.enabled=true,fullnameOverride=1x", "the name of a Service begins with a letter"},
		{profile("0", "name=a"), "'/profiles/0': missing property 'nodeSelector'"},
		{profile("0", "name=A_b") + "," + profile("0", "nodeSelector.a=b"), "'/profiles/0/name': 'A_b' does not match"},
		{profile("0", "name=default") + "," + profile("0", "nodeSelector.a=b"), "the name default is taken"},
		{profile("0", "name=a") + "," + profile("0", "nodeSelector.a=b") + "," + profile("0", "config.guard=hold"),
			"needs guard.bpf: true (profile a)"},
		{profile("0", "name=a") + "," + profile("0", "nodeSelector.a=b") + "," + profile("1", "name=c") + "," +
			profile("1", "nodeSelector.a=b") + "," + profile("1", "nodeSelector.x=y"), "put c before it"},
		{many, "need more than 256 terms of affinity"},
	} {
		_, err := template(t, "--set=image.repository=x", "--set="+test.set)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.set, err, test.want)
		}
	}
	if _, err := template(t, "--set=image.repository=x", "--kube-version=1.24.0"); err == nil {
		t.Error("Kubernetes 1.24 is accepted")
	}
}

// TestChartDocuments renders the values in the documents, and loads their configurations.
func TestChartDocuments(t *testing.T) {
	var blocks []*document.Block
	for _, file := range []string{"../docs/kubernetes.md", fleetDocument} {
		d, err := document.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, d.Blocks...)
	}
	found := 0
	for _, block := range blocks {
		if block.Path != "values.yaml" && (len(block.Lines) == 0 || block.Lines[0] != "# values.yaml") {
			continue
		}
		found++
		file := filepath.Join(t.TempDir(), "values.yaml")
		write(t, file, strings.Join(block.Lines, "\n"))
		for profile, c := range loadConfigs(t, "--set=image.repository=x", "--values="+file) {
			if len(c.Wants) == 0 {
				t.Errorf("line %d: %s has no settings", block.Line, profile)
			}
		}
	}
	if found != 4 {
		t.Errorf("%d blocks of values, want 4", found)
	}
}

// TestChartSchemaKeys: the schema has the keys of values.yaml at every level that it describes, and the sections of a
// configuration.
func TestChartSchemaKeys(t *testing.T) {
	type schema struct {
		Properties map[string]json.RawMessage
		Defs       map[string]json.RawMessage `json:"$defs"`
	}
	text, err := os.ReadFile(chartDir + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var whole, section schema
	if err := json.Unmarshal(text, &whole); err != nil {
		t.Fatal(err)
	}
	var values, reference map[string]any
	read(t, chartDir+"/values.yaml", &values)
	read(t, "../config/reference.yaml", &reference)
	delete(whole.Properties, "global") // Helm's own, for charts that contain this one
	keys := func(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
	if diff := cmp.Diff(keys(values), slices.Sorted(maps.Keys(whole.Properties))); diff != "" {
		t.Errorf("keys (-values +schema):\n%s", diff)
	}
	if err := json.Unmarshal(whole.Defs["config"], &section); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keys(reference), slices.Sorted(maps.Keys(section.Properties))); diff != "" {
		t.Errorf("sections (-reference +schema):\n%s", diff)
	}
}

// TestChartNotes: the notes have the values with which kube-proxy writes nothing, and the release's own names. Helm
// prints them only where it reaches a cluster, so a copy of the chart has them as a template.
func TestChartNotes(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(dir + "/templates/NOTES.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.TrimRight(string(text), "\n")
	write(t, dir+"/templates/notes.yaml", "notes: |\n  "+strings.ReplaceAll(lines, "\n", "\n  ")+"\n")
	out, stderr, err := helm(t, "template", "r", dir, "--namespace=net", "--show-only=templates/notes.yaml",
		"--kube-version="+kubernetes, "--set=image.repository=x")
	if err != nil {
		t.Fatal(stderr)
	}
	for _, want := range []string{
		"maxPerCore: 0\n", "min: 0\n", "tcpEstablishedTimeout: 0s\n", "tcpCloseWaitTimeout: 0s\n",
		"kubectl -n net rollout status daemonset/r-ctkeeper\n", "kubectl label namespace net pod-security",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the notes:\n%s", want, out)
		}
	}
}
