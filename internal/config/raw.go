// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"log/slog"

	"go.yaml.in/yaml/v3"
)

// hidden stands wherever a Raw would be shown.
const hidden = "<hidden>"

// Raw is a piece of YAML that another package will read: an object store's
// configuration, a time interval. It holds no line numbers, comments or
// aliases, so that two equal pieces compare equal wherever they stood. It may
// hold secrets, so nothing that prints it shows it.
type Raw struct {
	node *yaml.Node
}

// IsZero says that nothing was given.
func (r Raw) IsZero() bool { return r.node == nil }

// IsMapping says that the piece is a mapping (fields with values).
func (r Raw) IsMapping() bool { return r.node != nil && r.node.Kind == yaml.MappingNode }

// YAML gives the piece as a YAML document of its own, secrets and all.
func (r Raw) YAML() ([]byte, error) {
	if r.node == nil {
		return nil, nil
	}
	data, err := yaml.Marshal(r.node)
	if err != nil {
		return nil, fmt.Errorf("write raw YAML: %w", err)
	}
	return data, nil
}

// Format hides the content from every verb of package fmt.
func (r Raw) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue hides the content from slog.
func (r Raw) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalYAML hides the content when a whole Config is written.
func (r Raw) MarshalYAML() (any, error) { return hidden, nil }

// raw copies a node without its place. Unlike a decode into plain values this
// keeps every scalar's text as it was written: a key 0123 stays 0123.
func (d *decoder) raw(n *yaml.Node, path string) *yaml.Node {
	n, leave := d.enter(n, path)
	if n == nil {
		return nil
	}
	defer leave()
	if !d.coreTag(n, path) {
		return nil
	}
	out := &yaml.Node{Kind: n.Kind, Tag: n.Tag, Value: n.Value}
	if n.Kind == yaml.MappingNode {
		d.uniqueKeys(n, path)
	}
	for _, child := range n.Content {
		c := d.raw(child, path)
		if c == nil {
			return nil
		}
		out.Content = append(out.Content, c)
	}
	return out
}
