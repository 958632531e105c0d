// SPDX-License-Identifier: Apache-2.0

package exporter

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"

	"github.com/etcdops/etcdops/internal/config"
)

func testApp(t *testing.T, o Options, clusters ...config.Cluster) *app {
	t.Helper()
	o.Logger = quiet()
	a := &app{options: o, log: o.Logger, life: t.Context(), fleet: newFleet(o)}
	if err := a.fleet.apply(t.Context(), &config.Validated{Clusters: clusters}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.fleet.close)
	return a
}

func TestSD(t *testing.T) {
	external, _ := url.Parse("https://exporter.example/etcd/")
	cluster := config.Cluster{Name: "prod", Endpoints: []string{"https://10.0.0.1:2379", "https://[2001:db8::1]:2379"}, ProbeKey: "health"}
	for name, c := range map[string]struct {
		options Options
		tls     bool
		want    []targetGroup
	}{
		"host of the request": {want: []targetGroup{{
			Targets: []string{"me:10379"},
			Labels:  map[string]string{"__scheme__": "http", "__metrics_path__": "/probe", "__param_cluster": "prod", "cluster": "prod"},
		}}},
		"over TLS": {tls: true, want: []targetGroup{{
			Targets: []string{"me:10379"},
			Labels:  map[string]string{"__scheme__": "https", "__metrics_path__": "/probe", "__param_cluster": "prod", "cluster": "prod"},
		}}},
		"external URL": {options: Options{ExternalURL: external}, want: []targetGroup{{
			Targets: []string{"exporter.example"},
			Labels:  map[string]string{"__scheme__": "https", "__metrics_path__": "/etcd/probe", "__param_cluster": "prod", "cluster": "prod"},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			a := testApp(t, c.options, cluster)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd", nil)
			r.Host = "me:10379"
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got := answerOf(t, a, r); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSDNative(t *testing.T) {
	a := testApp(t, Options{}, config.Cluster{Name: "prod", Endpoints: []string{"https://10.0.0.1:2379", "https://[2001:db8::1]:2379"}, ProbeKey: "health"})
	got := answerOf(t, a, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd/native", nil))
	if len(got) != 2 {
		t.Fatalf("%d groups, want one for each endpoint", len(got))
	}
	want := map[string]string{
		"__scheme__": "http", "__metrics_path__": "/native", "__param_cluster": "prod",
		"__param_url": "https://[2001:db8::1]:2379", "cluster": "prod", "instance": "[2001:db8::1]:2379",
	}
	if !reflect.DeepEqual(got[1].Labels, want) {
		t.Errorf("labels %v, want %v", got[1].Labels, want)
	}
}

func TestSDWithoutClustersIsAList(t *testing.T) {
	a := testApp(t, Options{})
	if got := answerOf(t, a, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sd", nil)); got == nil || len(got) != 0 {
		t.Errorf("got %v, want an empty list: Prometheus refuses null", got)
	}
}

// TestSDWithoutHost: there is no address to lead back to.
func TestSDWithoutHost(t *testing.T) {
	a := testApp(t, Options{})
	for _, path := range []string{"/sd", "/sd/native"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Host = ""
		w := httptest.NewRecorder()
		a.routes().ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", path, w.Code)
		}
	}
}
