package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/ctkeeper/ctkeeper/internal/netns"
)

const roleDir = "ansible/roles/ctkeeper/"

// runTool runs a program in the folder of the collection. Ansible's own files go to a directory of the test.
func runTool(t *testing.T, pkg, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		netns.Cannot(t, "no %s: apt-get install %s", name, pkg)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = "ansible"
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "NO_COLOR=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func TestAnsibleLint(t *testing.T) {
	// With the folder alone it would look at one file only.
	runTool(t, "ansible-lint", "ansible-lint", "--strict", "roles/ctkeeper", "galaxy.yml", "meta/runtime.yml")
}

// TestCollection builds the collection, installs it, and parses each playbook of its README and of docs/fleet.md with
// it.
func TestCollection(t *testing.T) {
	dir := t.TempDir()
	runTool(t, "ansible-core", "ansible-galaxy", "collection", "build", "--output-path", dir, ".")
	version := changelogVersion(t)
	runTool(t, "ansible-core", "ansible-galaxy", "collection", "install", "--offline",
		"-p", filepath.Join(dir, "collections"), filepath.Join(dir, "ctkeeper-ctkeeper-"+version+".tar.gz"))
	readme, err := os.ReadFile("ansible/README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("ANSIBLE_COLLECTIONS_PATH", filepath.Join(dir, "collections"))
	plays := "---\n"
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		plays += block[1]
	}
	plays += strings.Join(fleetBlocks(t, "yaml")["site.yml"].Lines, "\n") + "\n"
	file := filepath.Join(dir, "plays.yml")
	if err := os.WriteFile(file, []byte(plays), 0o600); err != nil {
		t.Fatal(err)
	}
	runTool(t, "ansible-core", "ansible-playbook", "--syntax-check", "-i", "routers,nodes,", file)
	runTool(t, "ansible-lint", "ansible-lint", "--strict", "--offline", "--profile=production", file)
}

// changelogVersion returns the newest version of CHANGELOG.md.
func changelogVersion(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^## \[(\d.*)\]`).FindSubmatch(text)
	if found == nil {
		t.Fatal("CHANGELOG.md has no version")
	}
	return string(found[1])
}

// TestRoleVariables checks that the defaults of the role, its argument_specs and its README list the same variables
// with the same defaults.
func TestRoleVariables(t *testing.T) {
	var defaults map[string]any
	read(t, roleDir+"defaults/main.yml", &defaults)
	var specs struct {
		ArgumentSpecs struct {
			Main struct {
				Options map[string]struct{ Default any }
			}
		} `yaml:"argument_specs"`
	}
	read(t, roleDir+"meta/argument_specs.yml", &specs)
	specified := map[string]any{}
	for name, option := range specs.ArgumentSpecs.Main.Options {
		specified[name] = option.Default
	}
	if diff := cmp.Diff(defaults, specified); diff != "" {
		t.Errorf("defaults and argument_specs differ (-defaults +specs):\n%s", diff)
	}
	readme, err := os.ReadFile("ansible/README.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]any{}
	rows := regexp.MustCompile("(?m)^\\| `(ctkeeper_\\w+)` \\| `(.*?)` \\|")
	for _, row := range rows.FindAllStringSubmatch(string(readme), -1) {
		var value any
		if err := yaml.Unmarshal([]byte(row[2]), &value); err != nil {
			t.Fatal(err)
		}
		documented[row[1]] = value
	}
	if diff := cmp.Diff(defaults, documented); diff != "" {
		t.Errorf("defaults and README differ (-defaults +README):\n%s", diff)
	}
	if len(defaults) == 0 {
		t.Error("the role has no variables")
	}
}
