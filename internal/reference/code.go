package reference

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ctkeeper/ctkeeper/explain/doctor"
	"github.com/ctkeeper/ctkeeper/reconcile"
	"github.com/ctkeeper/ctkeeper/status"
	"github.com/ctkeeper/ctkeeper/table"
)

// documents are the JSON documents, by their name: {name document} in template.md.
var documents = map[string]reflect.Type{
	"status": reflect.TypeFor[status.Document](),
	"event":  reflect.TypeFor[reconcile.Event](),
	"point":  reflect.TypeFor[table.Point](),
	"doctor": reflect.TypeFor[doctor.Report](),
}

// parse returns the syntax trees of a package without its tests.
func parse(root, dir string) ([]*ast.File, error) {
	names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("no Go files in %s: %w", dir, err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// constants returns the values of a section's constants, in the order of the code.
func constants(root string, s section) ([]string, error) {
	files, err := parse(root, s.dir)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !s.has(spec) {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				// No document has an empty one.
				if value, err := strconv.Unquote(literal.Value); err == nil && value != "" {
					values = append(values, value)
				}
			}
			return true
		})
	}
	if len(values) == 0 {
		return nil, fmt.Errorf("no constants for %s in %s", s.name, s.dir)
	}
	return values, nil
}

// has reports whether a declaration is one of a section's constants.
func (s section) has(spec *ast.ValueSpec) bool {
	if s.typ == "" {
		return strings.HasPrefix(spec.Names[0].Name, s.prefix)
	}
	typ, ok := spec.Type.(*ast.Ident)
	return ok && typ.Name == s.typ
}

// keysTable returns a row for each key of a JSON document: its path, its type, and its text.
func keysTable(name string, document reflect.Type, texts *keyTexts) (string, error) {
	var b strings.Builder
	b.WriteString("| key | type | what it is |\n|---|---|---|\n")
	err := addKeys(&b, name+".", document, texts)
	return strings.TrimSpace(b.String()), err
}

func addKeys(b *strings.Builder, prefix string, t reflect.Type, texts *keyTexts) error {
	var errs []error
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
			continue
		case field.Anonymous && name == "":
			errs = append(errs, addKeys(b, prefix, field.Type, texts))
			continue
		case name == "":
			errs = append(errs, fmt.Errorf("%s.%s has no JSON key", t, field.Name))
			continue
		}
		path := prefix + name
		text, err := texts.find(path)
		errs = append(errs, err)
		kind, inner := jsonType(field.Type)
		_, shown, _ := strings.Cut(path, ".")
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", shown, kind, text)
		if inner != nil {
			elements := strings.Repeat("[]", strings.Count(kind, "array")) +
				strings.Repeat(".*", strings.Count(kind, "object of"))
			errs = append(errs, addKeys(b, path+elements+".", inner, texts))
		}
	}
	return errors.Join(errs...)
}

// keyTexts are the texts of keys.yaml by path (DOCUMENT.KEY.KEY) or by the end of a path, and which of them were
// used.
type keyTexts struct {
	texts map[string]string
	used  map[string]bool
}

// find returns the text for the longest end of a path that has one.
func (k *keyTexts) find(path string) (string, error) {
	for end := path; ; {
		if text := k.texts[end]; text != "" {
			k.used[end] = true
			return text, nil
		}
		_, rest, found := strings.Cut(end, ".")
		if !found {
			return "", fmt.Errorf("keys.yaml: no text for %s", path)
		}
		end = rest
	}
}

// unused returns an error for each text that no key has.
func (k *keyTexts) unused() error {
	var errs []error
	for key := range k.texts {
		if !k.used[key] {
			errs = append(errs, fmt.Errorf("keys.yaml: no document has %s", key))
		}
	}
	return errors.Join(errs...)
}

// jsonType returns what a Go type is in JSON, and its struct type if it is an object with fields of its own.
func jsonType(t reflect.Type) (kind string, inner reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		kind, inner = jsonType(t.Elem())
		return kind + " or null", inner
	case reflect.Slice:
		kind, inner = jsonType(t.Elem())
		return "array of " + kind, inner
	case reflect.Map:
		kind, inner = jsonType(t.Elem())
		return "object of " + kind, inner
	}
	// The zero value shows what types write that have a way of their own.
	text, err := json.Marshal(reflect.Zero(t).Interface())
	switch {
	case err != nil || len(text) == 0:
		return "unknown", nil
	case t == reflect.TypeFor[time.Time]():
		return "time", nil
	case text[0] == '{':
		return "object", t
	case text[0] == '"':
		return "string", nil
	case text[0] == 't' || text[0] == 'f':
		return "boolean", nil
	}
	return "number", nil
}
