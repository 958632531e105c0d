// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// maxNesting is how deep settings of object stores are nested, with room.
const maxNesting = 5

// fieldName tells a field from a value that slipped into its place, such as a key
// written without the space behind the colon.
var fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// decodeStrict reads YAML into a struct, and refuses unknown fields. The libraries'
// messages repeat values, so the error is made of the field's name alone. It goes on
// from the name of what data is: ".bucket: is unknown", ": is not valid YAML".
func decodeStrict(data []byte, into any) error {
	err := strict(data, into)
	if err == nil {
		return nil
	}
	var root yaml.Node
	if yaml.Unmarshal(data, &root) != nil {
		return errors.New(": is not valid YAML")
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return errors.New(": must be a mapping (fields with values)")
	}
	if field := badField(root.Content[0], nil, into); field != "" {
		return errors.New(field)
	}
	return errors.New(": a field is unknown, given twice, or has a value of the wrong kind")
}

func strict(data []byte, into any) error {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// badField finds the first field that cannot be read, by reading each one alone.
func badField(mapping *yaml.Node, parents []*yaml.Node, into any) string {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		path := slices.Concat(parents, []*yaml.Node{key})
		if strict(alone(path, value), into) == nil {
			continue
		}
		// Where the key takes no mapping at all, it is the one to blame.
		empty := &yaml.Node{Kind: yaml.MappingNode}
		if value.Kind == yaml.MappingNode && len(path) < maxNesting && strict(alone(path, empty), into) == nil {
			if field := badField(value, path, into); field != "" {
				return field
			}
		}
		text := "is unknown, or its value is of the wrong kind"
		if name := joinKeys(path); name != "" {
			return fmt.Sprintf(".%s: %s", name, text)
		}
		return fmt.Sprintf(": a field in line %d %s", key.Line, text)
	}
	return ""
}

// alone is a document with one value in it, below the keys of its path.
func alone(path []*yaml.Node, value *yaml.Node) []byte {
	for _, key := range slices.Backward(path) {
		value = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{key, value}}
	}
	data, err := yaml.Marshal(value)
	if err != nil {
		return nil // an alias without its anchor: it is not the one to blame
	}
	return data
}

func joinKeys(path []*yaml.Node) string {
	var b bytes.Buffer
	for i, key := range path {
		if !fieldName.MatchString(key.Value) {
			return ""
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(key.Value)
	}
	return b.String()
}
