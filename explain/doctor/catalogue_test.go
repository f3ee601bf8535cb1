package doctor

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ctkeeper/ctkeeper/explain/doctor/finding"
)

// TestCatalogue compares the catalogue with the ids in the source. An id is a literal: the value of a
// field ID in a composite literal, or what is assigned to a field ID.
func TestCatalogue(t *testing.T) {
	var listed []string
	for _, e := range finding.Catalogue() {
		listed = append(listed, e.ID)
		if e.Meaning == "" || e.Do == "" {
			t.Errorf("%s has no meaning, or nothing to do", e.ID)
		}
	}
	sources, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, source := range sources {
		if !strings.HasSuffix(source, "_test.go") {
			addIDs(t, source, used)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(used)), listed); diff != "" {
		t.Errorf("catalogue (-in the source +listed):\n%s", diff)
	}
}

// addIDs adds the ids of a source file. The test fails for an id that is not a literal.
func addIDs(t *testing.T, source string, ids map[string]bool) {
	t.Helper()
	positions := token.NewFileSet()
	file, err := parser.ParseFile(positions, source, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	add := func(value ast.Expr) {
		literal, isLiteral := value.(*ast.BasicLit)
		if !isLiteral {
			t.Errorf("%s: the id is not a literal", positions.Position(value.Pos()))
			return
		}
		id, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Error(err)
		}
		ids[id] = true
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.KeyValueExpr:
			if key, isIdent := n.Key.(*ast.Ident); isIdent && key.Name == "ID" {
				add(n.Value)
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if field, isField := left.(*ast.SelectorExpr); isField && field.Sel.Name == "ID" {
					add(n.Rhs[i])
				}
			}
		}
		return true
	})
}
