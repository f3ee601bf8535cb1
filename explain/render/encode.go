package render

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/BurntSushi/toml"
	"gopkg.in/yaml.v3"
)

// pair is a key and its value; a mapping of pairs keeps their order.
type pair struct {
	key   string
	value any
}

// mapping is a YAML mapping.
type mapping []pair

// MarshalYAML implements yaml.Marshaler.
func (m mapping) MarshalYAML() (any, error) {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, p := range m {
		var key, value yaml.Node
		if err := key.Encode(p.key); err != nil {
			return nil, err
		}
		if err := value.Encode(p.value); err != nil {
			return nil, err
		}
		node.Content = append(node.Content, &key, &value)
	}
	return node, nil
}

func encodeYAML(v any) (string, error) {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return out.String(), encoder.Close()
}

func encodeTOML(v any) (string, error) {
	var out bytes.Buffer
	encoder := toml.NewEncoder(&out)
	encoder.Indent = ""
	err := encoder.Encode(v)
	return out.String(), err
}

func encodeJSON(v any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(v)
	return out.String(), err
}

// nixString returns a string literal of the Nix language ("String" of its manual). No Go library encodes Nix.
func nixString(text string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", `\${`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return `"` + escape.Replace(text) + `"`
}
