package inventory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// newTree makes a tree of files. "PATH -> TARGET" is a link, "PATH (x)" an executable file, a name
// that ends in a slash a directory.
func newTree(t *testing.T, files string) tree.Tree {
	t.Helper()
	root := t.TempDir()
	for _, f := range txtar.Parse([]byte(files)).Files {
		name, target, link := strings.Cut(f.Name, " -> ")
		name, executable := strings.CutSuffix(name, " (x)")
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		switch {
		case link:
			if err := os.Symlink(target, full); err != nil {
				t.Fatal(err)
			}
		case strings.HasSuffix(name, "/"):
			if err := os.MkdirAll(full, 0o755); err != nil {
				t.Fatal(err)
			}
		default:
			kerneltree.Put(t, root, name, string(f.Data))
		}
		if executable {
			if err := os.Chmod(full, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tree.At(root)
}

// describe returns an inventory as text, one line for each entry.
func describe(inv inventory.Inventory) string {
	var b strings.Builder
	for _, a := range inv.Assignments {
		fmt.Fprintf(&b, "%s %s", a.Name, a.Value)
		for word, holds := range map[string]bool{" at least": a.AtLeast, " at most": a.AtMost} {
			if holds {
				b.WriteString(word)
			}
		}
		if a.Parameter {
			b.WriteString(" parameter")
		}
		fmt.Fprintf(&b, " | %s %s, %s", a.Place, a.Tool, a.Phase)
		if a.TooEarly {
			b.WriteString(" | too early")
		}
		if a.FromPersist {
			b.WriteString(" | from persist")
		}
		if a.Uncertain != "" {
			fmt.Fprintf(&b, " | uncertain: %s", a.Uncertain)
		}
		if a.Meant != "" {
			fmt.Fprintf(&b, " | meant: %s", a.Meant)
		}
		if a.NoEffect != "" {
			fmt.Fprintf(&b, " | no effect: %s", a.NoEffect)
		}
		b.WriteByte('\n')
	}
	for _, s := range inv.ToolOptions {
		fmt.Fprintf(&b, "%s %s=%s | %s", s.Tool, s.Name, s.Value, s.Place)
		if s.Default {
			b.WriteString(" default")
		}
		b.WriteByte('\n')
	}
	for _, p := range inv.PodSysctls {
		fmt.Fprintf(&b, "pods: %s %s | %s %s, running %t\n", p.Name, p.Value, p.Place, p.Tool, p.Running)
	}
	for _, at := range inv.EarlyLoads {
		fmt.Fprintf(&b, "early load | %s\n", at)
	}
	for _, d := range inv.DeadLines {
		words := strings.Join([]string{d.Why, d.Key, d.Value, d.Name, d.Right}, " | ")
		fmt.Fprintf(&b, "dead line | %s: %s\n", d.Place, strings.TrimRight(words, " |"))
	}
	for _, m := range inv.Mentions {
		fmt.Fprintf(&b, "mention | %s: %s %v\n", m.Place, m.Text, m.Sets)
	}
	for _, t := range inv.Troubles {
		fmt.Fprintf(&b, "trouble | %s\n", t.Error())
	}
	return b.String()
}

// TestRead reads the trees of testdata. The text before the files says what a case is about; the
// file "want" is the inventory.
func TestRead(t *testing.T) {
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
			got := describe(inventory.Read(newTree(t, string(txtar.Format(&txtar.Archive{Files: files})))))
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
