//go:build node

package node

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/ctkeeper/ctkeeper/internal/document"
)

var update = flag.Bool("update", false, "rewrite the outputs in the documents")

// testDocuments runs the commands of every document with the host node. Their directory has the chart where the
// repository has it, and $IMAGE is the repository of the image.
func testDocuments(t *testing.T, n *Node) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	chartText, err := os.ReadFile(chart + "/Chart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^appVersion: (\S+)$`).FindSubmatch(chartText)
	if version == nil {
		t.Fatal("Chart.yaml has no appVersion")
	}
	if _, err := command("", nil, n.Programs.Crane, "tag", registry+"/ctkeeper:1", string(version[1])); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, target := range map[string]string{
		"packaging": filepath.Join(top, "packaging"), "bin/helm": n.Programs.Helm,
		"bin/kubectl": n.Programs.Kubernetes["kubectl"],
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
	}
	host := document.Shell{
		"env", "--chdir=" + dir, "PATH=" + dir + "/bin:" + os.Getenv("PATH"), "KUBECONFIG=" + kubeconfig, "HOME=" + dir,
		"IMAGE=" + registry + "/ctkeeper", "bash", "-c",
	}
	files, err := document.Find(top)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range files {
		d, err := document.Read(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if d.Host == "node" {
			ran++
			document.Test(t, file, host, *update)
		}
	}
	if ran == 0 {
		t.Error("no document has the host node")
	}
}
