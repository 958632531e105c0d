// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
)

// client asks as Prometheus would that has read a ScrapeConfig. Every name leads to the
// one address; certificates are verified for the name.
type client struct {
	t       testing.TB
	w       *world
	address string
}

func (c client) secret(ref *corev1.SecretKeySelector) string {
	c.t.Helper()
	value, there := c.w.secrets[ref.Name][ref.Key]
	if !there {
		c.t.Fatalf("there is no Secret %s with %s", ref.Name, ref.Key)
	}
	return string(value)
}

// get gives the status and the body.
func (c client) get(url string, auth *monitoringv1.BasicAuth, safe *monitoringv1.SafeTLSConfig) (int, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	must(c.t, err)
	if auth != nil {
		request.SetBasicAuth(c.secret(&auth.Username), c.secret(&auth.Password))
	}
	return c.do(request, safe)
}

func (c client) do(request *http.Request, safe *monitoringv1.SafeTLSConfig) (int, string) {
	c.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, c.address)
	}}
	if safe != nil {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(c.secret(safe.CA.Secret)))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	must(c.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(c.t, err)
	return response.StatusCode, string(body)
}

// scrape follows the service discovery of a job and gives what its targets tell, each
// with the label `cluster` in front.
func (c client) scrape(o *objects, job string) string {
	c.t.Helper()
	spec := o.scrapes[job].Spec
	var text strings.Builder
	for _, sd := range spec.HTTPSDConfigs {
		status, body := c.get(string(sd.URL), sd.BasicAuth, sd.TLSConfig)
		var groups []struct {
			Targets []string
			Labels  map[string]string
		}
		if err := json.Unmarshal([]byte(body), &groups); err != nil || len(groups) == 0 {
			c.t.Fatalf("%s: %d %s", sd.URL, status, body)
		}
		for _, group := range groups {
			parameters := url.Values{}
			for name, value := range group.Labels {
				if name, is := strings.CutPrefix(name, "__param_"); is {
					parameters.Set(name, value)
				}
			}
			target := url.URL{Scheme: group.Labels["__scheme__"], Host: group.Targets[0], Path: group.Labels["__metrics_path__"], RawQuery: parameters.Encode()}
			_, body := c.get(target.String(), spec.BasicAuth, spec.TLSConfig)
			text.WriteString("cluster " + group.Labels["cluster"] + "\n" + body)
		}
	}
	for _, static := range spec.StaticConfigs {
		_, body := c.get(strings.ToLower(string(*spec.Scheme))+"://"+string(static.Targets[0])+"/metrics", spec.BasicAuth, spec.TLSConfig)
		text.WriteString(body)
	}
	return text.String()
}

// TestFirstScrape: the pods run, the kubelet finds them well, and Prometheus gets the
// metrics of etcd by what it is given; nobody else gets anything.
func TestFirstScrape(t *testing.T) {
	w := newWorld(t)
	for _, v := range variants() {
		if !v.operator || !v.remediator {
			continue // the programs do not differ
		}
		t.Run(v.name, func(t *testing.T) {
			o := decode(t, v.manifests(t))
			c := client{t, w, newPod(t, o, exporter, w).start()}
			probe(t, o, exporter, c)
			for job, want := range map[string]string{
				"etcd_cluster":  `etcdops_endpoint_up{url="` + w.endpoint + `"} 1`,
				"etcd":          "etcd_server_has_leader 1",
				"etcd_exporter": "etcdops_exporter_config_last_reload_successful 1",
			} {
				got := c.scrape(o, job)
				if !strings.Contains(got, want) || (job != "etcd_exporter" && !strings.HasPrefix(got, "cluster prod\n")) {
					t.Errorf("%s: no %q in\n%.3000s", job, want, got)
				}
			}
			if v.open {
				return
			}
			tls := o.scrapes["etcd_cluster"].Spec.TLSConfig
			for _, path := range []string{"/metrics", "/sd", "/sd/native", "/probe?cluster=prod", "/", "/-/healthy"} {
				if status, _ := c.get("https://"+string(o.scrapes["etcd_exporter"].Spec.StaticConfigs[0].Targets[0])+path, nil, tls); status != http.StatusUnauthorized {
					t.Errorf("%s without a password: %d", path, status)
				}
			}
		})
	}
}

// TestRemediatorServes: it is found well, tells its metrics, and does nothing for those
// who bring no token.
func TestRemediatorServes(t *testing.T) {
	w := newWorld(t)
	v := variant{operator: true, remediator: true}
	for name, manifests := range map[string]func(testing.TB) []byte{"helm": v.helm, "kustomize": v.kustomize} {
		t.Run(name, func(t *testing.T) {
			o := decode(t, manifests(t))
			c := client{t, w, newPod(t, o, remediator, w).start()}
			probe(t, o, remediator, c)
			if got := c.scrape(o, "etcd_remediator"); !strings.Contains(got, `etcdops_remediation_mode{mode="plan"} 1`) {
				t.Errorf("no mode plan in\n%.3000s", got)
			}
			spec := o.scrapes["etcd_remediator"].Spec
			if status, body := c.get("https://"+string(spec.StaticConfigs[0].Targets[0])+"/api/v1/runs", nil, spec.TLSConfig); status != http.StatusUnauthorized {
				t.Errorf("runs without a token: %d %s", status, body)
			}
		})
	}
}

// probe looks at a program as the kubelet does: without a password, and whatever its
// certificate is.
func probe(t *testing.T, o *objects, name string, c client) {
	t.Helper()
	container := o.deployments[name].Spec.Template.Spec.Containers[0]
	for _, p := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
		if p.TCPSocket != nil {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.address)
			must(t, err)
			must(t, conn.Close())
			continue
		}
		kubelet := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.ToLower(string(p.HTTPGet.Scheme))+"://"+c.address+p.HTTPGet.Path, nil)
		must(t, err)
		response, err := kubelet.Do(request)
		must(t, err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: the probe gets %s", p.HTTPGet.Path, response.Status)
		}
	}
}
