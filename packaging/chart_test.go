package packaging

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
)

const (
	chartDir      = "helm/ctkeeper"
	manifestsFile = "kubernetes/ctkeeper.yaml"
	// kubernetes is the release that helm renders for and whose schemas the objects must satisfy.
	kubernetes  = "v1.36.3"
	kubeconform = "github.com/yannh/kubeconform/cmd/kubeconform"
)

var update = flag.Bool("update", false, "rewrite generated files")

// chartTool returns a program of helm/tools.mod, built once.
func chartTool(t *testing.T, pkg string) string {
	t.Helper()
	path, err := rig.Tool("helm/tools.mod", pkg)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// helm runs helm, whose own files are in a directory of the test, and returns its outputs.
func helm(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), chartTool(t, "helm.sh/helm/v3/cmd/helm"), args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out, errors bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errors
	err = cmd.Run()
	return out.String(), errors.String(), err
}

// template renders the chart as the release "r" in the namespace ctkeeper.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	fixed := []string{"template", "r", chartDir, "--namespace=ctkeeper", "--kube-version=" + kubernetes}
	out, stderr, err := helm(t, append(fixed, args...)...)
	if err != nil {
		return "", errors.New(stderr)
	}
	return out, nil
}

// ciFiles returns the values files with which the chart is tested.
func ciFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(chartDir + "/ci/*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d values files: %v", len(files), err)
	}
	return files
}

// An object of the API; encoding/json finds the fields in any case.
type object struct {
	APIVersion, Kind string
	Metadata         struct {
		Name, Namespace string
		Labels          map[string]string
	}
	Data map[string]string
	Spec json.RawMessage
}

// objects decodes rendered manifests.
func objects(t *testing.T, text string) (list []object) {
	t.Helper()
	for in := yaml.NewDecoder(strings.NewReader(text)); ; {
		var fields any
		if err := in.Decode(&fields); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		var o object
		decode(t, fields, &o)
		if o.Kind != "" {
			list = append(list, o)
		}
	}
}

// decode copies decoded YAML or JSON to a variable of another type.
func decode(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// render renders the chart with helm's arguments and returns the objects of some kinds, or all.
func render(t *testing.T, args []string, kinds ...string) []object {
	t.Helper()
	text, err := template(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(objects(t, text), func(o object) bool {
		return len(kinds) > 0 && !slices.Contains(kinds, o.Kind)
	})
}

// eachCI runs a test with each values file.
func eachCI(t *testing.T, test func(t *testing.T, file string)) {
	t.Helper()
	for _, file := range ciFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), "-values.yaml"), func(t *testing.T) { test(t, file) })
	}
}

func TestChartLint(t *testing.T) {
	eachCI(t, func(t *testing.T, file string) {
		out, stderr, err := helm(t, "lint", "--strict", "--kube-version="+kubernetes, "--values="+file, chartDir)
		if err != nil {
			t.Errorf("%s%s", out, stderr)
		}
	})
}

// TestChartSchemas checks every rendered object against the schemas of Kubernetes and of the Prometheus operator.
// Unknown fields are errors.
func TestChartSchemas(t *testing.T) {
	dir, err := rig.KubernetesSchemas(kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, text string) error {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), chartTool(t, kubeconform), "-strict",
			"-schema-location", dir+"/{{ .ResourceKind }}{{ .KindSuffix }}.json")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	eachCI(t, func(t *testing.T, file string) {
		text, err := template(t, "--values="+file)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(t, text); err != nil {
			t.Error(err)
		}
	})
	text, err := template(t, "--values="+chartDir+"/ci/everything-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for right, wrong := range map[string]string{
		"hostNetwork: true": "hostNetwerk: true", "memory: 128Mi": "memory: 128Mj", "jobLabel:": "jobLable:",
	} {
		if !strings.Contains(text, right) || check(t, strings.Replace(text, right, wrong, 1)) == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}
