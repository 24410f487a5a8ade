// Package routes writes rules of the shipped policy as people write them in policy.data.
package routes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ruleKeys is the order in which people write a rule.
var ruleKeys = []string{"path", "methods", "public", "tokens", "scopes", "roles", "claims", "principals", "ports", "acr", "max_age", "body"}

// Line writes a rule as YAML on one line.
func Line(stated map[string]any) string {
	place := func(key string) int {
		if i := slices.Index(ruleKeys, key); i >= 0 {
			return i
		}
		return len(ruleKeys)
	}
	keys := slices.SortedFunc(maps.Keys(stated), func(a, b string) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a, b))
	})
	node := yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	for _, key := range keys {
		var name, value yaml.Node
		if name.Encode(key) != nil || value.Encode(Plain(stated[key])) != nil {
			continue // of JSON's types nothing fails
		}
		value.Style |= yaml.FlowStyle
		node.Content = append(node.Content, &name, &value)
	}
	text, err := yaml.Marshal(&node)
	if err != nil {
		return fmt.Sprint(stated)
	}
	return strings.TrimSpace(string(text))
}

// Plain is a value of JSON with numbers that YAML writes as such.
func Plain(value any) any {
	switch value := value.(type) {
	case json.Number:
		if whole, err := value.Int64(); err == nil {
			return whole
		}
		float, _ := value.Float64() // of JSON's numbers nothing fails but the range
		return float
	case map[string]any:
		out := make(map[string]any, len(value))
		for key, member := range value {
			out[key] = Plain(member)
		}
		return out
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = Plain(item)
		}
		return out
	}
	return value
}
