package inventory_test

import (
	"strings"
	"testing"

	"github.com/ctkeeper/ctkeeper/explain/inventory"
	"github.com/ctkeeper/ctkeeper/host/tree"
	"github.com/ctkeeper/ctkeeper/internal/kerneltree"
)

// TestComplexTOML: a file with which the TOML parser would take minutes is reported, and not parsed.
func TestComplexTOML(t *testing.T) {
	for name, text := range map[string]string{
		"nested": "a = " + strings.Repeat("{a=", 20_000), "arrays": "a = " + strings.Repeat("[\n", 20_000),
		"keys": strings.Repeat("a.", 20_000) + "a = 1", "large": strings.Repeat("# text\n", 20_000),
	} {
		root := t.TempDir()
		const file = "/etc/crio/crio.conf.d/10-a.conf"
		kerneltree.Put(t, root, file, "# default_sysctls\n"+text)
		found := inventory.Read(tree.At(root)).Troubles
		if len(found) != 1 || found[0].File != file {
			t.Errorf("%s: %v", name, found)
		}
	}
}
