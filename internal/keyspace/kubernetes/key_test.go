// SPDX-License-Identifier: Apache-2.0

package kubernetes_test

import (
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
)

func TestParseKey(t *testing.T) {
	for key, want := range map[string]kubernetes.Key{
		"/registry/pods/default/web-0":                                 {"pods", "default", "web-0"},
		"/registry/events/shop/web-0.17c":                              {"events", "shop", "web-0.17c"},
		"/registry/minions/worker-1":                                   {"minions", "", "worker-1"},
		"/registry/services/specs/default/kubernetes":                  {"services/specs", "default", "kubernetes"},
		"/registry/services/endpoints/default/kubernetes":              {"services/endpoints", "default", "kubernetes"},
		"/registry/services/other/x":                                   {"services", "other", "x"},
		"/registry/ranges/serviceips":                                  {"ranges/serviceips", "", ""},
		"/registry/masterleases/10.0.0.1":                              {"masterleases", "", "10.0.0.1"},
		"/registry/leases/kube-node-lease/worker-1":                    {"leases", "kube-node-lease", "worker-1"},
		"/registry/cert-manager.io/certificates/shop/tls":              {"cert-manager.io/certificates", "shop", "tls"},
		"/registry/cert-manager.io/clusterissuers/ca":                  {"cert-manager.io/clusterissuers", "", "ca"},
		"/registry/apiextensions.k8s.io/customresourcedefinitions/a.b": {"apiextensions.k8s.io/customresourcedefinitions", "", "a.b"},
		"/registry/cert-manager.io":                                    {"cert-manager.io", "", ""},
		"/registry/cert-manager.io/":                                   {"cert-manager.io/", "", ""},
		"/registry/health":                                             {"health", "", ""},
		"/registry/pods/default/":                                      {"pods", "default", ""},
		"/registry/pods//x":                                            {"pods", "", "x"},
		"/registry/pods/a/b/c":                                         {"pods", "a", "b/c"},
		"/registry/":                                                   {"/registry/", "", ""},
		"/registry":                                                    {"/registry", "", ""},
		"/registry//pods/x":                                            {"/registry/", "", "pods/x"},
		"kubernetes.io/events/shop/x":                                  {"kubernetes.io/events", "", "shop/x"},
		"/calico/ipam/v2/host/a":                                       {"/calico/ipam", "", "v2/host/a"},
		"/calico/ipam":                                                 {"/calico/ipam", "", ""},
		"compact_rev_key":                                              {"compact_rev_key", "", ""},
		"":                                                             {},
		"/":                                                            {"/", "", ""},
		"//":                                                           {"//", "", ""},
		"\x00\xff/\x1b[2J/b":                                           {"\x00\xff/\x1b[2J", "", "b"},
	} {
		if got := kubernetes.ParseKey([]byte(key)); got != want {
			t.Errorf("%q: got %q, want %q", key, got, want)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	f.Add([]byte("/registry/services/specs/default/kubernetes"))
	f.Add([]byte("/registry//"))
	f.Add([]byte("a/b/c"))
	f.Fuzz(func(t *testing.T, key []byte) {
		got := kubernetes.ParseKey(key)
		rest := string(key)
		for _, part := range []string{got.Resource, got.Namespace, got.Name} {
			_, after, found := strings.Cut(rest, part)
			if !found {
				t.Fatalf("%q: %q is not in it, or not in this order: %q", key, part, got)
			}
			rest = after
		}
	})
}
