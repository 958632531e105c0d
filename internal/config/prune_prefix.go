// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// notEvents are resources under which a namespace may be called events:
// /registry/pods/events/ holds pods. Values are checked one by one before they
// are deleted; this only spares an operator the surprise.
var notEvents = []string{
	"configmaps", "controllerrevisions", "controllers", "cronjobs", "daemonsets", "deployments", "endpoints",
	"endpointslices", "horizontalpodautoscalers", "ingress", "jobs", "leases", "limitranges", "networkpolicies",
	"persistentvolumeclaims", "poddisruptionbudgets", "pods", "podtemplates", "replicasets", "resourcequotas",
	"rolebindings", "roles", "secrets", "serviceaccounts", "specs", "statefulsets",
}

// checkPrunePrefix allows only what ends in /events/ or /events/NAMESPACE/.
func checkPrunePrefix(prefix string) error {
	if prefix == "" {
		return errors.New("is needed, such as /registry/events/")
	}
	wrong := fmt.Errorf("%s must end in /events/ or /events/NAMESPACE/, as /registry/events/ does: nothing else is ever deleted", quote(prefix))
	rest, ok := strings.CutSuffix(prefix, "/")
	if !ok || !strings.HasPrefix(rest, "/") {
		return wrong
	}
	parts := strings.Split(rest, "/")[1:]
	at := len(parts) - 1
	if parts[at] != "events" || at > 0 && parts[at-1] == "events" {
		at-- // the last part is a namespace, even one called events
	}
	switch {
	case at < 0 || parts[at] != "events" || slices.Contains(parts, ""):
		return wrong
	case at < len(parts)-1 && !isNamespace(parts[len(parts)-1]):
		return wrong
	case at > 0 && slices.Contains(notEvents, parts[at-1]):
		return fmt.Errorf("%s names the %s of a namespace called events: write /registry/events/", quote(prefix), parts[at-1])
	}
	return nil
}

// isNamespace says whether a text can be a Kubernetes namespace (a DNS label).
func isNamespace(s string) bool {
	if len(s) > 63 || strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}
