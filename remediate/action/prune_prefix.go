// SPDX-License-Identifier: Apache-2.0

package action

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
)

// resources may hold a namespace called events: /pods/events/ holds pods where an
// API server's --etcd-prefix is empty.
var resources = []string{
	"configmaps", "controllerrevisions", "controllers", "cronjobs", "daemonsets", "deployments", "endpoints",
	"endpointslices", "horizontalpodautoscalers", "ingress", "jobs", "leases", "limitranges", "networkpolicies",
	"persistentvolumeclaims", "poddisruptionbudgets", "pods", "podtemplates", "replicasets", "resourcequotas",
	"rolebindings", "roles", "secrets", "serviceaccounts", "specs", "statefulsets",
}

// eventsPrefix is a prefix below which events may be deleted. The configuration was
// checked before; this is the last check before keys go, and believes nobody.
type eventsPrefix struct {
	text string // every request and every delete lies below it
	stem string // up to and with /events/: the key of an event is stem, namespace, "/", name
	// plain: nothing but the root of an API server can stand before /events/. Where
	// more does, it might be a resource with a namespace called events, and only what
	// is seen to be an event may go.
	plain bool
}

// parseEventsPrefix allows only what ends in /events/ or /events/NAMESPACE/.
func parseEventsPrefix(text string) (eventsPrefix, error) {
	wrong := fmt.Errorf("prefix %.100q does not end in /events/ or /events/NAMESPACE/: nothing else is ever deleted", text)
	inner, ok := strings.CutSuffix(text, "/")
	if !ok || !strings.HasPrefix(inner, "/") {
		return eventsPrefix{}, wrong
	}
	segments := strings.Split(inner[1:], "/")
	at := len(segments) - 1
	if at > 0 && segments[at-1] == "events" && (segments[at] == "events" || isNamespace(segments[at])) {
		at-- // what follows is a namespace, also one called events
	}
	if segments[at] != "events" || slices.Contains(segments, "") {
		return eventsPrefix{}, wrong
	}
	root := segments[:at]
	return eventsPrefix{
		text: text, stem: "/" + strings.Join(segments[:at+1], "/") + "/",
		plain: len(root) == 0 || len(root) == 1 && !slices.Contains(resources, root[0]),
	}, nil
}

// isNamespace says whether a text can be a Kubernetes namespace, a DNS label.
func isNamespace(s string) bool {
	odd := func(r rune) bool { return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') }
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' && !strings.ContainsFunc(s, odd)
}

// span is all that lies below the prefix.
func (p eventsPrefix) span() etcd.Span { return etcd.PrefixSpan(p.text) }

// holds says whether a key lies below the prefix.
func (p eventsPrefix) holds(key []byte) bool {
	return len(p.text) > 0 && len(key) > len(p.text) && bytes.HasPrefix(key, []byte(p.text))
}

// fits says whether the key is where an API server stores this very event.
func (p eventsPrefix) fits(key []byte, e kubernetes.Event) bool {
	return p.holds(key) && string(key) == p.stem+e.Namespace+"/"+e.Name
}
