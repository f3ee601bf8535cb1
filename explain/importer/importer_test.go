package importer_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/ctkeeper/ctkeeper/config"
	"github.com/ctkeeper/ctkeeper/explain/importer"
	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestNew imports from the trees of testdata: a host with the module loaded, and the files. The file
// "live" sets values of the kernel, the file "want" is the import.
func TestNew(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files, want := archive.Files, ""
			if last := files[len(files)-1]; last.Name == "want" {
				files, want = files[:len(files)-1], string(last.Data)
			}
			root := kerneltree.New(t)
			isLive := func(f txtar.File) bool { return f.Name == "live" }
			kerneltree.UnpackFiles(t, root, slices.DeleteFunc(slices.Clone(files), isLive))
			for _, f := range slices.DeleteFunc(slices.Clone(files), func(f txtar.File) bool { return !isLive(f) }) {
				for line := range strings.Lines(string(f.Data)) {
					name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
					kerneltree.Set(t, root, name, value)
				}
			}
			got := describe(t, root)
			if *update {
				archive.Files = append(files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// describe returns an import as text, and checks that the configuration accepts it.
func describe(t *testing.T, root string) string {
	t.Helper()
	host := tree.At(root)
	got, err := importer.New(host, inventory.Read(host))
	if err == nil {
		_, refused := config.Source{Root: root, Draft: map[string][]byte{importer.DropInPath: got.YAML}}.Load()
		if refused != nil {
			t.Errorf("the configuration refuses the drop-in: %v", refused)
		}
	}
	var b strings.Builder
	b.Write(got.YAML)
	fmt.Fprintf(&b, "empty: %t\n", got.Empty)
	for _, place := range got.Obsolete {
		fmt.Fprintf(&b, "obsolete: %s\n", place)
	}
	for _, note := range got.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	if err != nil {
		fmt.Fprintf(&b, "error: %s\n", strings.ReplaceAll(err.Error(), root, "ROOT"))
	}
	return b.String()
}
