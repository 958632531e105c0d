// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	hidden = "<hidden>"
	// minSecret is the length from which a value is looked for in texts, in bytes: a
	// shorter one is no key, and would be found in every word.
	minSecret = 4
)

// secrets are the values that no text may show, the longest first.
type secrets []string

// findSecrets takes all values whose field's name tells of a key, a password, a token
// or an account.
func findSecrets(config []byte) secrets {
	var root yaml.Node
	if yaml.Unmarshal(config, &root) != nil {
		return nil
	}
	var s secrets
	s.collect(&root, false, 0)
	slices.SortFunc(s, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(s)
}

func (s *secrets) collect(n *yaml.Node, secret bool, depth int) {
	switch {
	case depth > 2*maxNesting:
	case n.Kind == yaml.AliasNode:
		s.collect(n.Alias, secret, depth+1)
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			s.collect(n.Content[i+1], secret || isSecretField(n.Content[i].Value), depth+1)
		}
	case n.Kind == yaml.ScalarNode:
		if secret {
			s.add(n.Value)
			s.parts(n.Value)
		}
	default:
		for _, c := range n.Content {
			s.collect(c, secret, depth+1)
		}
	}
}

func isSecretField(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"key", "secret", "token", "password", "service_account", "connection_string"} {
		if strings.Contains(name, word) && !strings.HasSuffix(name, "_file") {
			return true
		}
	}
	return false
}

// parts takes the secrets out of a connection string and of a service account's JSON.
func (s *secrets) parts(value string) {
	var account map[string]any
	if json.Unmarshal([]byte(value), &account) == nil {
		for name, v := range account {
			if text, ok := v.(string); ok && strings.Contains(name, "key") {
				s.add(text)
			}
		}
		return
	}
	for part := range strings.SplitSeq(value, ";") {
		name, v, ok := strings.Cut(part, "=")
		if ok && (strings.EqualFold(name, "AccountKey") || strings.EqualFold(name, "SharedAccessSignature")) {
			s.add(v)
		}
	}
	for v := range strings.SplitSeq(value, "&") { // a shared access signature's own
		if v, ok := strings.CutPrefix(v, "sig="); ok {
			s.add(v)
		}
	}
}

func (s *secrets) add(value string) {
	for _, v := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
		if len(v) >= minSecret {
			*s = append(*s, v)
		}
	}
}

// hide makes a text fit to be shown: one line without secrets.
func (s secrets) hide(text string) string {
	for _, v := range s {
		text = strings.ReplaceAll(text, v, hidden)
	}
	return shorten(text)
}
