// SPDX-License-Identifier: Apache-2.0

package action

import (
	"strings"
	"testing"

	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
)

func TestEventsPrefix(t *testing.T) {
	for text, want := range map[string]struct {
		stem  string
		plain bool
	}{
		"/registry/events/":                         {"/registry/events/", true},
		"/registry/events/shop/":                    {"/registry/events/", true},
		"/registry/events/events/":                  {"/registry/events/", true},
		"/kubernetes.io/events/":                    {"/kubernetes.io/events/", true},
		"/events/":                                  {"/events/", true},
		"/events/shop/":                             {"/events/", true},
		"/a/b/events/":                              {"/a/b/events/", false},
		"/registry/pods/events/":                    {"/registry/pods/events/", false},
		"/pods/events/":                             {"/pods/events/", false},
		"/registry/cert-manager.io/issuers/events/": {"/registry/cert-manager.io/issuers/events/", false},
		"":                         {},
		"/":                        {},
		"//":                       {},
		"events/":                  {},
		"/registry/":               {},
		"/registry/pods/":          {},
		"/registry/events":         {},
		"/registry/eventsfoo/":     {},
		"/registry/fooevents/":     {},
		"/registry/Events/":        {},
		"/registry//events/":       {},
		"/registry/events//":       {},
		"/registry/events/Shop/":   {},
		"/registry/events/-shop/":  {},
		"/registry/events/shop/x/": {},
		"/registry/events/shop":    {},
		"/registry/events/\x00/":   {},
		"/registry/events/" + strings.Repeat("a", 64) + "/": {},
	} {
		got, err := parseEventsPrefix(text)
		if (err == nil) != (want.stem != "") || got.stem != want.stem || got.plain != want.plain {
			t.Errorf("%q: %+v, error %v, want %+v", text, got, err, want)
		}
		if err == nil && got.text != text {
			t.Errorf("%q became %q", text, got.text)
		}
	}
}

func TestEventFitsItsKey(t *testing.T) {
	for _, test := range []struct {
		prefix, key, namespace, name string
		want                         bool
	}{
		{"/registry/events/", "/registry/events/shop/web", "shop", "web", true},
		{"/registry/events/shop/", "/registry/events/shop/web", "shop", "web", true},
		{"/registry/events/events/", "/registry/events/events/web", "events", "web", true},
		{"/registry/events/shop/", "/registry/events/other/web", "other", "web", false},
		{"/registry/events/", "/registry/events/shop/web", "other", "web", false},
		{"/registry/events/", "/registry/events/shop/web", "shop", "other", false},
		{"/registry/events/", "/registry/events/shop/web/more", "shop", "web", false},
		{"/registry/events/", "/registry/pods/shop/web", "shop", "web", false},
		{"/registry/events/", "/registry/events/", "", "", false},
	} {
		p, err := parseEventsPrefix(test.prefix)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.fits([]byte(test.key), kubernetes.Event{Namespace: test.namespace, Name: test.name}); got != test.want {
			t.Errorf("%+v: %t", test, got)
		}
	}
	if (eventsPrefix{}).holds([]byte("/registry/pods/a/b")) {
		t.Error("no prefix holds a key")
	}
}
