// SPDX-License-Identifier: Apache-2.0

package kubernetes

import "strings"

// root is where an API server keeps its objects unless --etcd-prefix says
// otherwise.
const root = "/registry/"

// Key is what a key says about the object that it holds.
type Key struct{ Resource, Namespace, Name string }

// ParseKey takes a key apart. Keys do not tell it all, so these are rules of thumb:
//
//   - /registry/RESOURCE/NAMESPACE/NAME, and without a namespace for what has
//     none: /registry/minions/NAME. What has one segment less is cluster-scoped.
//   - A first segment with a dot is an API group, as custom resources and
//     aggregated ones have it: the resource is GROUP/RESOURCE.
//   - Services, their older endpoints and the ranges of addresses and ports lie
//     one level deeper: services/specs, services/endpoints, ranges/serviceips.
//   - Any other key (another program's, another --etcd-prefix) is of the
//     resource that its first two segments name, with its leading slash, and the
//     rest is its name.
//
// Segments are taken as they are, empty and binary ones too. It never fails.
func ParseKey(key []byte) Key {
	rest, found := strings.CutPrefix(string(key), root)
	if !found || rest == "" || rest[0] == '/' {
		return foreign(string(key))
	}
	resource, rest, deeper := strings.Cut(rest, "/")
	if deeper && (strings.Contains(resource, ".") || nested(resource, rest)) {
		var second string
		second, rest, deeper = strings.Cut(rest, "/")
		resource += "/" + second
	}
	if !deeper {
		return Key{Resource: resource}
	}
	namespace, name, namespaced := strings.Cut(rest, "/")
	if !namespaced {
		return Key{Resource: resource, Name: rest}
	}
	return Key{resource, namespace, name}
}

// nested says whether a core resource has a second level.
func nested(resource, rest string) bool {
	second, _, _ := strings.Cut(rest, "/")
	switch resource {
	case "services":
		return second == "specs" || second == "endpoints"
	case "ranges":
		return second == "serviceips" || second == "servicenodeports"
	default:
		return false
	}
}

func foreign(key string) Key {
	begin := 0
	if strings.HasPrefix(key, "/") {
		begin = 1
	}
	end := len(key)
	if first := strings.IndexByte(key[begin:], '/'); first >= 0 {
		if second := strings.IndexByte(key[begin+first+1:], '/'); second >= 0 {
			end = begin + first + 1 + second
		}
	}
	return Key{Resource: key[:end], Name: strings.TrimPrefix(key[end:], "/")}
}
