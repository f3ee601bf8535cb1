//go:build documents

package scenarios

import (
	"encoding/base64"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/rig"
	documents "github.com/ctkeeper/ctkeeper/internal/document"
)

// The first document installs ctkeeper on a host that has nothing of it, and the last one removes it. Every other
// begins with the configuration of the package, and without the module.
const (
	firstDocument = "README.md"
	lastDocument  = "docs/getting-started.md"
)

// TestDocuments runs the commands of the documents and compares their outputs. It logs the text of every document that
// differs.
func TestDocuments(t *testing.T) {
	var names []string
	err := filepath.WalkDir(rig.Documents, func(file string, _ fs.DirEntry, err error) error {
		if filepath.Ext(file) == ".md" {
			names = append(names, strings.TrimPrefix(file, rig.Documents+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// The kernel's log keeps what overflowed: doctor reports it in the documents that come after.
	order := map[string]int{firstDocument: -1, "docs/how-to/expectations.md": 1, lastDocument: 2}
	slices.SortStableFunc(names, func(a, b string) int { return order[a] - order[b] })
	if names[0] != firstDocument {
		run(t, "sh", "-c", "dpkg -i "+rig.Documents+"/dist/ctkeeper_*.deb")
	}
	shipped := run(t, "sh", "-c", "dpkg-deb --fsys-tarfile "+rig.Documents+"/dist/ctkeeper_*.deb | tar -xO ."+mainFile)
	for _, name := range names {
		if name != firstDocument {
			resetHost(t)
			run(t, "sh", "-c", "mkdir -p /etc/ctkeeper/conf.d && rm -f /usr/local/sbin/firewall")
			writeFile(t, mainFile, shipped)
			run(t, "systemctl", "start", unit)
		}
		t.Run(name, func(t *testing.T) { runDocument(t, name) })
	}
}

func runDocument(t *testing.T, name string) {
	d, err := documents.Read(filepath.Join(rig.Documents, name))
	if err != nil {
		t.Fatal(err)
	}
	since := journalEnd(t)
	const prepare = "PATH=/usr/local/sbin:$PATH; cd " + rig.Documents
	updated, problems := d.Run(documents.Shell{"sh", "-c", prepare + ` && eval "$0"`})
	for _, problem := range problems {
		t.Error(problem)
	}
	if len(problems) > 0 {
		t.Logf("journal of the unit:\n%s", since.text(t))
		t.Log(rig.UpdatedMark + name + " " + base64.StdEncoding.EncodeToString([]byte(updated)))
	}
}
