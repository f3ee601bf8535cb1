package rig

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// prometheusOperator is the release whose custom resource definitions MonitoringCRDs returns.
const prometheusOperator = "v0.88.0"

// schemasRecipe changes when writeSchemas makes something else of the same version.
const schemasRecipe = "1 strict " + prometheusOperator

// moduleDir returns the directory of a module's source, which it downloads to Go's module cache.
func moduleDir(module string) (string, error) {
	out, err := Command(".", "go", "mod", "download", "-json", module)
	if err != nil {
		return "", err
	}
	var found struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return "", fmt.Errorf("cannot parse the output of go mod download: %w", err)
	}
	return found.Dir, nil
}

// MonitoringCRDs returns a directory with the custom resource definitions of the Prometheus operator, one YAML file
// each.
func MonitoringCRDs() (string, error) {
	dir, err := moduleDir("github.com/prometheus-operator/prometheus-operator@" + prometheusOperator)
	return filepath.Join(dir, "example", "prometheus-operator-crd"), err
}

// KubernetesSchemas returns a directory with a JSON schema for each kind of a release of Kubernetes and of the
// Prometheus operator, named KIND-GROUP-VERSION.json for kubeconform. An object with a field that the API does not
// have does not satisfy them.
func KubernetesSchemas(release string) (string, error) {
	c, err := openCache()
	if err != nil {
		return "", err
	}
	return c.Entry("kube-schemas", release, schemasRecipe, func(dir string) error {
		source, err := moduleDir("k8s.io/kubernetes@" + release)
		if err != nil {
			return err
		}
		if err := writeSchemas(filepath.Join(source, "api", "openapi-spec", "swagger.json"), dir); err != nil {
			return err
		}
		crds, err := MonitoringCRDs()
		if err != nil {
			return err
		}
		return writeCRDSchemas(crds, dir)
	})
}

// schema is a JSON schema, or a part of one.
type schema = map[string]any

// writeSchemas writes the schemas of the kinds in an OpenAPI document, each with the definitions that it needs.
func writeSchemas(swagger, dir string) error {
	text, err := os.ReadFile(swagger)
	if err != nil {
		return err
	}
	var api struct{ Definitions map[string]schema }
	if err := json.Unmarshal(text, &api); err != nil {
		return fmt.Errorf("cannot parse %s: %w", swagger, err)
	}
	// The document describes what the server writes, and these accept more.
	api.Definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = schema{"type": []string{"string", "integer"}}
	api.Definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = schema{
		"type":    []string{"string", "number"},
		"pattern": `^[+-]?(\d+|\d+\.\d*|\.\d+)([eE][+-]?\d+|[KMGTPE]i|[numkMGTPE]|)$`,
	}
	for _, definition := range api.Definitions {
		refuseUnknown(definition)
	}
	for name, definition := range api.Definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if properties, _ := definition["properties"].(schema); properties["apiVersion"] == nil {
			continue
		}
		needed := schema{}
		addReferences(api.Definitions, name, needed)
		for _, kind := range kinds {
			id := kind.(schema)
			whole := schema{"$ref": "#/definitions/" + name, "definitions": needed}
			err := writeSchema(dir, id["group"].(string), id["version"].(string), id["kind"].(string), whole)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseUnknown makes every object with known fields, at any depth, refuse others.
func refuseUnknown(part any) {
	switch part := part.(type) {
	case []any:
		for _, inner := range part {
			refuseUnknown(inner)
		}
	case schema:
		_, isObject := part["properties"].(schema)
		_, isOpen := part["additionalProperties"]
		if isObject && !isOpen && part["x-kubernetes-preserve-unknown-fields"] != true {
			part["additionalProperties"] = false
		}
		for _, inner := range part {
			refuseUnknown(inner)
		}
	}
}

// addReferences adds a definition, and all that it refers to.
func addReferences(all map[string]schema, name string, needed schema) {
	if needed[name] != nil {
		return
	}
	needed[name] = all[name]
	var walk func(part any)
	walk = func(part any) {
		switch part := part.(type) {
		case []any:
			for _, inner := range part {
				walk(inner)
			}
		case schema:
			if reference, is := part["$ref"].(string); is {
				addReferences(all, strings.TrimPrefix(reference, "#/definitions/"), needed)
			}
			for _, inner := range part {
				walk(inner)
			}
		}
	}
	walk(all[name])
}

// writeCRDSchemas writes the schemas in files with custom resource definitions.
func writeCRDSchemas(crds, dir string) error {
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	if err != nil || len(files) == 0 {
		return fmt.Errorf("no custom resource definitions in %s: %w", crds, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var crd struct {
			Spec struct {
				Group    string
				Names    struct{ Kind string }
				Versions []struct {
					Name   string
					Schema struct {
						OpenAPI schema `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.Unmarshal(text, &crd); err != nil {
			return fmt.Errorf("cannot parse %s: %w", file, err)
		}
		for _, version := range crd.Spec.Versions {
			refuseUnknown(version.Schema.OpenAPI)
			err := writeSchema(dir, crd.Spec.Group, version.Name, crd.Spec.Names.Kind, version.Schema.OpenAPI)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// writeSchema writes a schema under the name by which kubeconform looks for it.
func writeSchema(dir, group, version, kind string, whole schema) error {
	name := strings.ToLower(kind)
	if first, _, _ := strings.Cut(group, "."); first != "" {
		name += "-" + first
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, name+"-"+version+".json"), string(text))
}
