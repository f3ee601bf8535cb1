//go:build documents

package scenarios

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
	documents "github.com/ctkeeper/ctkeeper/internal/document"
)

// startsBare are the documents that install ctkeeper. They run first, each on a host that has nothing of it. All
// others begin with the package as it was installed, and without the module.
var startsBare = []string{"README.md", "docs/getting-started.md"}

// TestDocuments runs the commands of the documents and compares their outputs. It logs the text of every document that
// differs.
func TestDocuments(t *testing.T) {
	var bare, others []string
	err := filepath.WalkDir(rig.Documents, func(file string, _ fs.DirEntry, err error) error {
		name := strings.TrimPrefix(file, rig.Documents+"/")
		switch {
		case slices.Contains(startsBare, name):
			bare = append(bare, name)
		case filepath.Ext(name) == ".md":
			others = append(others, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range bare {
		t.Run(name, func(t *testing.T) { runDocument(t, name) })
		purge(t)
	}
	run(t, "sh", "-c", "dpkg -i "+rig.Documents+"/dist/*.deb")
	shipped, err := os.ReadFile(mainFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range others {
		resetHost(t)
		writeFile(t, mainFile, string(shipped))
		run(t, "systemctl", "start", unit)
		t.Run(name, func(t *testing.T) { runDocument(t, name) })
	}
}

// purge removes ctkeeper and the module, whatever a document has left.
func purge(t *testing.T) {
	t.Helper()
	run(t, "dpkg", "--purge", "ctkeeper-exporter", "ctkeeper")
	unload(t)
}

func runDocument(t *testing.T, name string) {
	d, err := documents.Read(filepath.Join(rig.Documents, name))
	if err != nil {
		t.Fatal(err)
	}
	since := journalEnd(t)
	updated, problems := d.Run(documents.Shell{"sh", "-c", "cd " + rig.Documents + ` && eval "$0"`})
	for _, problem := range problems {
		t.Error(problem)
	}
	if len(problems) > 0 {
		t.Logf("journal of the unit:\n%s", since.text(t))
		t.Log(rig.UpdatedMark + name + " " + base64.StdEncoding.EncodeToString([]byte(updated)))
	}
}
