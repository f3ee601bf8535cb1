//go:build native

package native

import (
	"flag"
	"testing"

	"github.com/ctkeeper/ctkeeper/e2e/debs"
	"github.com/ctkeeper/ctkeeper/e2e/rig"
	"github.com/ctkeeper/ctkeeper/internal/document"
)

var update = flag.Bool("update", false, "rewrite the outputs in the documents")

// TestDocuments runs the commands of every document with the host native, each in a machine of its own with the
// package ctkeeper.
func TestDocuments(t *testing.T) {
	const top = "../.."
	files, err := document.Find(top)
	if err != nil {
		t.Fatal(err)
	}
	packages := ""
	for _, file := range files {
		d, err := document.Read(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if d.Host != "native" {
			continue
		}
		if packages == "" {
			if packages, err = debs.Build(top, t.TempDir(), "0.1.0", nil); err != nil {
				t.Fatal(err)
			}
		}
		t.Run(file, func(t *testing.T) {
			m := Boot(t, "bookworm")
			m.Copy(packages, rig.Documents+"/dist")
			m.Must("dpkg -i " + rig.Documents + "/dist/ctkeeper_*.deb")
			document.Test(t, file, m, *update)
		})
	}
	if packages == "" {
		t.Error("no document has the host native")
	}
}
