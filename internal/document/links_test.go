package document

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCode(t *testing.T) {
	d, err := Parse("x.md", "Run `ctkeeper status -o\njson` or `a`.\n\n```text\n`not this`\n```\n| `b` | `c` |\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Span{{1, "ctkeeper status -o json"}, {2, "a"}, {7, "b"}, {7, "c"}}
	if diff := cmp.Diff(want, d.Code()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBrokenLinks(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.md": "# A `b` & C\n<a name=\"here\"></a>\n[x](#a-b--c) [y](#here) [z](sub/b.md#two) [w](sub/b.md)\n" +
			"[gone](#gone) [b](sub/b.md#gone) [c](c.md)\n<img src=\"d.png\"> [out](https://example.org/x#y)\n",
		"sub/b.md": "## [Two](x)\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Read(filepath.Join(dir, "a.md"))
	if err != nil {
		t.Fatal(err)
	}
	broken, err := d.BrokenLinks()
	if err != nil {
		t.Fatal(err)
	}
	want := []Span{{4, "#gone"}, {4, "sub/b.md#gone"}, {4, "c.md"}, {5, "d.png"}}
	if diff := cmp.Diff(want, broken); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
