package firewall

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ctkeeper/ctkeeper/host/tree"
)

// nftObject has the fields that we use of a rule, a chain, a map or a ct helper object in
// libnftables-json(5).
type nftObject struct {
	Family string `json:"family"`
	Table  string `json:"table"`
	Chain  string `json:"chain"`
	Name   string `json:"name"`
	Expr   []any  `json:"expr"`
	Elem   any    `json:"elem"`
	// Type is a base chain's or a ct helper's; a map's may be an array.
	Type any `json:"type"`
}

// nftName identifies an object.
type nftName struct{ family, table, name string }

// nftRuleset is a ruleset as far as it has been read.
type nftRuleset struct {
	Rules
	place   tree.Place
	helpers map[nftName]string
	maps    map[nftName]any
	// opaque has the families whose raw table has targets of iptables-nft(8) that nft does not show.
	opaque map[string]bool
}

// ParseNftJSON reads libnftables-json(5), the output of nft -j list ruleset. Helper objects that no
// rule assigns are left out. The error is that of encoding/json.
func ParseNftJSON(source string, text []byte) (Rules, error) {
	r, err := parseNftJSON(source, text)
	return r.Rules, err
}

func parseNftJSON(source string, text []byte) (nftRuleset, error) {
	r := nftRuleset{
		Rules:   Rules{NftTables: map[string]string{}},
		place:   tree.Place{File: source},
		helpers: map[nftName]string{}, maps: map[nftName]any{}, opaque: map[string]bool{},
	}
	var document struct {
		Objects []map[string]json.RawMessage `json:"nftables"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nftRuleset{}, fmt.Errorf("cannot read the ruleset: %w", err)
	}
	var rules []nftObject
	for _, entry := range document.Objects {
		for kind, raw := range entry {
			var object nftObject
			switch kind {
			case "rule", "chain", "map", "ct helper":
				if err := json.Unmarshal(raw, &object); err != nil {
					r.addTrouble(r.place, fmt.Errorf("cannot read a %s: %w", kind, err))
					continue
				}
			}
			name := nftName{object.Family, object.Table, object.Name}
			switch kind {
			case "rule":
				rules = append(rules, object)
			case "chain":
				if object.Type == "nat" { // the chain holds the module, with rules or without
					r.NftTables[object.Family+" "+object.Table] = "nft_chain_nat"
				}
			case "map":
				r.maps[name] = object.Elem
			case "ct helper":
				r.helpers[name], _ = object.Type.(string)
				r.addModule("nft_ct", r.place)
			}
		}
	}
	for _, rule := range rules {
		r.addRule(rule)
	}
	return r, nil
}

// addRule adds the modules that a rule needs and the helpers that it attaches.
func (r *nftRuleset) addRule(rule nftObject) {
	for _, statement := range rule.Expr {
		// Before nft 1.0.6 a statement of iptables-nft is text, or null.
		if _, isObject := statement.(map[string]any); !isObject && rule.Table == "raw" {
			r.opaque[rule.Family] = true
		}
		walk(statement, func(key string, value any) {
			if module := nftModule(key, value); module != "" {
				r.addModule(module, r.place)
				r.NftTables[rule.Family+" "+rule.Table] = module
			}
			switch key {
			case "ct helper":
				r.addHelpers(rule, value)
			case "xt":
				kind, name := xtName(value)
				if isOpaque := name == "CT" && kind == "target" || name == ""; isOpaque && rule.Table == "raw" {
					r.opaque[rule.Family] = true
				}
			}
		})
	}
}

// addHelpers adds the helpers that a statement attaches: one object by its name, or those of a map.
func (r *nftRuleset) addHelpers(rule nftObject, reference any) {
	name, single := reference.(string)
	names := []string{name}
	text := `"` + name + `"`
	if !single || strings.HasPrefix(name, "@") {
		names = r.mapStrings(rule, reference)
		encoded, _ := json.Marshal(reference) // it came from JSON
		text = string(encoded)
	}
	for _, name := range unique(names) {
		kind, known := r.helpers[nftName{rule.Family, rule.Table, name}]
		switch {
		case !known && (!single || name == ""):
			continue // a key of the map
		case kind == "":
			kind = name
		}
		r.Helpers = append(r.Helpers, HelperRule{
			Place: r.place, Name: kind,
			Rule: fmt.Sprintf("add rule %s %s %s ct helper set %s", rule.Family, rule.Table, rule.Chain, text),
		})
	}
}

// mapStrings returns the strings in a map, named or not: the names of helper objects are among them.
func (r *nftRuleset) mapStrings(rule nftObject, reference any) []string {
	if outer, ok := reference.(map[string]any); ok {
		if inner, ok := outer["map"].(map[string]any); ok {
			reference = inner["data"]
		}
	}
	if name, ok := reference.(string); ok {
		reference = r.maps[nftName{rule.Family, rule.Table, strings.TrimPrefix(name, "@")}]
	}
	return words(reference)
}

// words returns the strings in a JSON value.
func words(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var all []string
		for _, v := range value {
			all = append(all, words(v)...)
		}
		return all
	case map[string]any:
		var all []string
		for _, key := range slices.Sorted(maps.Keys(value)) {
			all = append(all, words(value[key])...)
		}
		return all
	}
	return nil
}

// unique returns the words without repetitions.
func unique(words []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(words, func(word string) bool {
		before := seen[word]
		seen[word] = true
		return before
	})
}

// walk visits each property of a JSON value, nested ones too.
func walk(value any, visit func(key string, value any)) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			walk(v, visit)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			visit(key, value[key])
			walk(value[key], visit)
		}
	}
}

// xtName returns the kind and the name of a statement of iptables-nft(8).
func xtName(value any) (kind, name string) {
	properties, _ := value.(map[string]any)
	kind, _ = properties["type"].(string)
	name, _ = properties["name"].(string)
	return kind, name
}

// nftModule returns the conntrack module that a statement or expression needs, or "".
func nftModule(key string, value any) string {
	switch key {
	case "xt":
		kind, name := xtName(value)
		if kind == "match" {
			return matchModule(name)
		}
		return targetModule(name)
	case "ct", "ct helper", "ct timeout", "ct expectation", "notrack":
		return "nft_ct"
	case "ct count":
		return "nft_connlimit"
	case "snat", "dnat", "masquerade", "redirect":
		return "nf_nat"
	case "flow":
		return "nft_flow_offload"
	case "synproxy":
		return "nf_synproxy_core"
	}
	return ""
}
