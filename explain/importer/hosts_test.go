package importer_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// TestHosts compares the import of each host that doctor is tested on with its golden file.
func TestHosts(t *testing.T) {
	archives, err := filepath.Glob("../doctor/testdata/hosts/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no hosts", err)
	}
	for _, archive := range archives {
		name := strings.TrimSuffix(filepath.Base(archive), ".txtar")
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			kerneltree.Unpack(t, root, archive)
			host := tree.At(root)
			made, err := importer.New(host, inventory.Read(host))
			var got bytes.Buffer
			fmt.Fprintf(&got, "%s\nrefused: %v\n\nnotes:\n", made.YAML, err)
			for _, note := range made.Notes {
				fmt.Fprintln(&got, " ", note)
			}
			fmt.Fprintln(&got, "\nobsolete:")
			for _, place := range made.Obsolete {
				fmt.Fprintln(&got, " ", place)
			}
			golden := filepath.Join("testdata/hosts", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("import (-want +got):\n%s", diff)
			}
		})
	}
}
