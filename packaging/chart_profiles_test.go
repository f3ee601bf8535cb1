package packaging

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/reconcile"
)

type nodeTerm struct {
	MatchExpressions []struct {
		Key, Operator string
		Values        []string
	}
}

// matches reports whether a node with these labels satisfies a term (k8s.io/api core/v1 NodeSelectorTerm): one without
// expressions matches none, and a label that is missing is not in any list.
func (term nodeTerm) matches(t *testing.T, labels map[string]string) bool {
	t.Helper()
	for _, e := range term.MatchExpressions {
		value, has := labels[e.Key]
		var ok bool
		switch e.Operator {
		case "In":
			ok = has && slices.Contains(e.Values, value)
		case "NotIn":
			ok = !has || !slices.Contains(e.Values, value)
		case "Exists":
			ok = has
		case "DoesNotExist":
			ok = !has
		default:
			t.Fatalf("operator %s", e.Operator)
		}
		if !ok {
			return false
		}
	}
	return len(term.MatchExpressions) > 0
}

// runsOn reports whether the DaemonSet of this pod runs on a node with these labels.
func (spec podSpec) runsOn(t *testing.T, labels map[string]string) bool {
	t.Helper()
	for key, value := range spec.NodeSelector {
		if got, has := labels[key]; !has || got != value {
			return false
		}
	}
	terms := spec.Affinity.NodeAffinity.Required.NodeSelectorTerms
	return len(terms) == 0 ||
		slices.ContainsFunc(terms, func(term nodeTerm) bool { return term.matches(t, labels) })
}

// TestChartProfilesKeepApart has nodes with any of the labels that the profiles select by. Each that the selectors and
// the affinity of the values reach has one pod: that of the first profile that selects it, or of the default.
func TestChartProfilesKeepApart(t *testing.T) {
	sets := pods(t, "--values="+chartDir+"/ci/profiles-values.yaml")
	values := map[string][]string{
		"kubernetes.io/os": {"linux", "linux", "linux", "windows"}, "example.com/role": {"", "edge", "core"},
		"topology.kubernetes.io/zone": {"", "a", "b"}, "example.com/gateway": {"", "true", "false"},
		"example.com/virtual": {"", "", "", "yes"}, "example.com/kept": {"", "", "yes"},
	}
	seen := map[string]int{}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		labels := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if value := values[key][random.IntN(len(values[key]))]; value != "" {
				labels[key] = value
			}
		}
		want := "default"
		_, isVirtual := labels["example.com/virtual"]
		_, isKept := labels["example.com/kept"]
		switch {
		case labels["kubernetes.io/os"] != "linux" || isVirtual && !isKept:
			want = ""
		case labels["example.com/role"] == "edge" && labels["topology.kubernetes.io/zone"] == "a":
			want = "edge"
		case labels["example.com/gateway"] == "true":
			want = "gateway"
		}
		var got []string
		for profile, spec := range sets {
			if spec.runsOn(t, labels) {
				got = append(got, profile)
			}
		}
		seen[want]++
		if want == "" && len(got) == 0 || len(got) == 1 && got[0] == want {
			continue
		}
		t.Fatalf("the node %v has the pods %v, want %q", labels, got, want)
	}
	if len(seen) != 4 {
		t.Errorf("not every kind of node was tried: %v", seen)
	}
}

// TestChartSelectors: no two DaemonSets select the same pods.
func TestChartSelectors(t *testing.T) {
	seen := map[string]string{}
	for _, o := range render(t, []string{"--values=" + chartDir + "/ci/profiles-values.yaml"}, "DaemonSet") {
		var set struct {
			Selector struct{ MatchLabels map[string]string }
			Template struct {
				Metadata struct{ Labels map[string]string }
			}
		}
		decode(t, o.Spec, &set)
		for key, value := range set.Selector.MatchLabels {
			if set.Template.Metadata.Labels[key] != value {
				t.Errorf("%s selects %s=%s, which its pods do not have", o.Metadata.Name, key, value)
			}
		}
		profile := set.Selector.MatchLabels["ctkeeper-profile"]
		if other := seen[profile]; other != "" || profile == "" {
			t.Errorf("%s and %q have the profile %q", o.Metadata.Name, other, profile)
		}
		seen[profile] = o.Metadata.Name
	}
	want := map[string]string{
		"default": "r-ctkeeper", "edge": "r-ctkeeper-edge", "gateway": "r-ctkeeper-gateway",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("DaemonSets (-want +got):\n%s", diff)
	}
}

// loadConfigs loads the configuration of each rendered pod, with the files where the kubelet puts them.
func loadConfigs(t *testing.T, args ...string) map[string]*config.Config {
	t.Helper()
	written := map[string]object{}
	for _, o := range render(t, args, "ConfigMap") {
		written[o.Metadata.Name] = o
	}
	loaded := map[string]*config.Config{}
	for profile, spec := range pods(t, args...) {
		root := t.TempDir()
		if err := os.MkdirAll(filepath.Join(root, "proc"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(root, "proc/meminfo"), "MemTotal: 16777216 kB\n")
		for _, item := range spec.Volumes[0].ConfigMap.Items {
			text, has := written[spec.Volumes[0].ConfigMap.Name].Data[item.Key]
			if !has {
				t.Fatalf("%s: the ConfigMap has no %s", profile, item.Key)
			}
			write(t, filepath.Join(root, "etc/ctkeeper", item.Path), text)
		}
		c, err := config.Source{Root: root}.Load()
		if err != nil {
			t.Fatalf("%s: %v", profile, err)
		}
		loaded[profile] = c
	}
	return loaded
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestChartConfigurations loads the configuration of every values file.
func TestChartConfigurations(t *testing.T) {
	eachCI(t, func(t *testing.T, file string) {
		for profile, c := range loadConfigs(t, "--values="+file) {
			if len(c.Wants) == 0 {
				t.Errorf("%s: no settings", profile)
			}
		}
	})
}

// TestChartProfileConfigurations: a profile's configuration is a drop-in over the common one, also where a policy
// replaces another, and an unquoted off is the guard's mode.
func TestChartProfileConfigurations(t *testing.T) {
	loaded := loadConfigs(t, "--values="+chartDir+"/ci/profiles-values.yaml")
	type summary struct {
		Mode  reconcile.Mode
		Guard config.Guard
		Wants map[string]string
	}
	got := map[string]summary{}
	for profile, c := range loaded {
		s := summary{Mode: c.Mode, Guard: c.Guard, Wants: map[string]string{}}
		for _, want := range c.Wants {
			s.Wants[want.Setting.Name] = fmt.Sprint(want.Policy, " ", want.Value)
		}
		got[profile] = s
	}
	hold := config.Guard{Mode: config.GuardHold, Allow: []string{"kube-proxy.service"}}
	off := config.Guard{Mode: config.GuardOff}
	// A full table takes at most 1/64 of the 16 GiB: 384 bytes an entry.
	want := map[string]summary{
		"default": {reconcile.Observe, off, map[string]string{
			"max": "at_least 698368", "tcp_timeout_established": "exactly 86400",
		}},
		"edge": {reconcile.Enforce, hold, map[string]string{
			"max": "exactly 4194304", "tcp_timeout_established": "exactly 86400",
		}},
		"gateway": {reconcile.Enforce, off, map[string]string{
			"max": "exactly 2097152", "hashsize": "exactly 524288", "tcp_timeout_established": "exactly 86400",
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configurations (-want +got):\n%s", diff)
	}
}

// TestChartNames: the names of pods are those of DaemonSets with a suffix, and have to be host names (63 characters).
func TestChartNames(t *testing.T) {
	long := strings.Repeat("n", 53) // the longest name of a release
	for release, want := range map[string]string{
		"ctkeeper": "ctkeeper", "my-ctkeeper": "my-ctkeeper", "edge": "edge-ctkeeper", long: long[:31] + "-ctkeeper",
		"ctkeeper" + long[8:]: "ctkeeper" + long[:32],
	} {
		text, stderr, err := helm(t, "template", release, chartDir, "--kube-version="+kubernetes,
			"--set=image.repository=x,profiles[0].name="+strings.Repeat("p", 16)+",profiles[0].nodeSelector.a=b")
		if err != nil {
			t.Fatal(stderr)
		}
		names := map[string]bool{}
		for _, o := range objects(t, text) {
			names[o.Metadata.Name] = true
			if suffix := len("-12345"); len(o.Metadata.Name)+suffix > 63 {
				t.Errorf("%s is too long", o.Metadata.Name)
			}
		}
		if !names[want] || len(names) != 2 {
			t.Errorf("the release %s has %v, want %s", release, names, want)
		}
	}
}

// TestChartLegalNames has names that YAML would read as numbers and truth values, labels that the chart sets too, and
// a profile that turns off what the others have. A number in place of a name, and a key that is there twice, are
// errors of objects.
func TestChartLegalNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "values.yaml")
	write(t, file, `
image: {repository: x}
guard: {bpf: true, podNames: true}
config: {guard: watch}
nodeSelector: {kubernetes.io/os: null, a: x}
podLabels: {app.kubernetes.io/name: other, ctkeeper-profile: other}
podAnnotations: {kubectl.kubernetes.io/default-container: exporter}
priorityClassName: "1"
profiles:
  - {name: "1", nodeSelector: {a: ""}, config: {guard: off}, guard: {bpf: false}}
  - {name: "true", nodeSelector: {b: "1"}, config: {guard: {allow: [x.service]}}}
`)
	text, stderr, err := helm(t, "template", "123", chartDir, "--namespace=456", "--kube-version="+kubernetes,
		"--values="+file)
	if err != nil {
		t.Fatal(stderr)
	}
	type pod struct {
		Selector     map[string]string
		Capabilities any
		Volumes      int
	}
	got := map[string]pod{}
	for _, o := range objects(t, text) {
		if o.Kind != "DaemonSet" {
			continue
		}
		var set struct {
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     podSpec
			}
		}
		decode(t, o.Spec, &set)
		spec := set.Template.Spec
		capabilities, _ := spec.Containers[0].SecurityContext["capabilities"].(map[string]any)
		got[set.Template.Metadata.Labels["ctkeeper-profile"]] = pod{
			spec.NodeSelector, capabilities["add"], len(spec.Volumes),
		}
	}
	want := map[string]pod{
		"default": {map[string]string{"a": "x"}, []any{"NET_ADMIN", "BPF"}, 7},
		"1":       {map[string]string{"a": ""}, []any{"NET_ADMIN"}, 5},
		"true":    {map[string]string{"a": "x", "b": "1"}, []any{"NET_ADMIN", "BPF"}, 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}
