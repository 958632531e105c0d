// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// answers is an error unless the answer has that status and holds the texts.
func answers(a *Answer, status int, texts ...string) error {
	if a.Status != status {
		return fmt.Errorf("answers %d, want %d: %.300s", a.Status, status, a.Body)
	}
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			return fmt.Errorf("answers %.300q, want %q in it", a.Body, text)
		}
	}
	return nil
}

// refuses is answers for a request that was wrong: one line of plain text.
func refuses(a *Answer, status int, texts ...string) error {
	if n := strings.Count(strings.TrimSpace(a.Body), "\n"); n > 0 {
		return fmt.Errorf("answers with %d lines: %.500s", n+1, a.Body)
	}
	return answers(a, status, texts...)
}

func hasHeaders(a *Answer, pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if got := a.Header.Get(pairs[i]); !strings.HasPrefix(got, pairs[i+1]) {
			return fmt.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
	return nil
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1})
	u := l.Endpoints()[0]
	e := exportLab(t, l, "--no-collector.tls")

	t.Run("metrics", func(t *testing.T) {
		a := e.Get("/metrics")
		check(t, answers(a, 200), hasHeaders(a, "Content-Type", "text/plain"))
		s := e.Scrape("/metrics")
		check(t, s.Up(u), s.Want(1, "exporter_config_last_reload_successful"), s.WantNone(notAfter))
		for _, name := range []string{"etcd_exporter_build_info", "go_goroutines", "process_resident_memory_bytes", "etcdops_exporter_config_last_reload_success_timestamp_seconds"} {
			if !s.Has(name) {
				t.Errorf("/metrics has no %s", name)
			}
		}
		for _, label := range []string{"endpoint", "instance", "job", "namespace", "pod", "service", "container", "cluster"} {
			if strings.Contains(a.Body, "{"+label+"=") || strings.Contains(a.Body, ","+label+"=") {
				t.Errorf("a metric has the label %s", label)
			}
		}
	})

	t.Run("probe", func(t *testing.T) {
		s := e.Scrape("/probe?cluster=default")
		check(t, s.Up(u), s.WantNone("go_goroutines"), s.WantNone("exporter_config_last_reload_successful"))
		s = e.Scrape("/probe?cluster=default&collect[]=health&collect%5B%5D=alarms")
		check(t, healthy(s, 1, u), s.WantNone("endpoint_up"), s.WantNone("cluster_members"))
		if n := s.Count("exporter_collector_success"); n != 2 {
			t.Errorf("%d collectors ran, want 2", n)
		}
		check(t,
			refuses(e.Get("/probe"), 400, "cluster", "default"),
			refuses(e.Get("/probe?cluster="), 400, "default"),
			refuses(e.Get("/probe?cluster=default&cluster=default"), 400),
			refuses(e.Get("/probe?cluster=nope"), 404, `"nope"`, "default"),
			refuses(e.Get("/probe?cluster="+url.QueryEscape(u)), 404, "default"),
			refuses(e.Get("/probe?cluster=a%0Ab%3Cscript%3E"), 404, "default"),
			refuses(e.Get("/probe?target="+url.QueryEscape(u)), 400),
			refuses(e.Get("/probe?cluster=default&collect[]=nope"), 400, `"nope"`, "status"),
			refuses(e.Get("/probe?cluster=default&collect[]="), 400),
			refuses(e.Get("/probe?cluster=default&collect[]=status&collect[]=tls"), 400, `"tls"`),
			refuses(e.Get("/probe?cluster=%zz"), 400),
		)
	})

	t.Run("methods", func(t *testing.T) {
		for path, methods := range map[string][]string{
			"/metrics":                 {"POST", "PUT", "DELETE", "PATCH"},
			"/probe?cluster=default":   {"POST", "DELETE"},
			"/sd":                      {"POST"},
			"/sd/native":               {"POST"},
			"/native?cluster=default":  {"POST"},
			"/":                        {"POST"},
			"/-/healthy":               {"POST"},
			"/-/reload":                {"GET", "HEAD", "PUT", "DELETE"},
			"/-/reload?cluster=defaul": {"GET"},
		} {
			for _, method := range methods {
				if a := e.Do(method, path); a.Status != 405 || a.Header.Get("Allow") == "" {
					t.Errorf("%s %s answers %d, allowed %q", method, path, a.Status, a.Header.Get("Allow"))
				}
			}
		}
		for _, path := range []string{"/metrics", "/probe?cluster=default", "/sd", "/sd/native", "/native?cluster=default&url=" + u, "/", "/-/healthy", "/-/ready"} {
			if a := e.Do("HEAD", path); a.Status != 200 || a.Body != "" {
				t.Errorf("HEAD %s answers %d with %d bytes", path, a.Status, len(a.Body))
			}
		}
	})

	t.Run("pages", func(t *testing.T) {
		a := e.Get("/")
		check(t, answers(a, 200, u, "/metrics", "/sd"), hasHeaders(a, "Content-Type", "text/html", "X-Content-Type-Options", "nosniff"))
		if strings.Contains(strings.ToLower(a.Body), "<script") || strings.Contains(a.Body, " onclick=") {
			t.Error("the landing page has a script")
		}
		check(t, answers(e.Get("/-/healthy"), 200), answers(e.Get("/-/ready"), 200), answers(e.Get("/nope"), 404),
			answers(e.Get("/metrics/"), 404), answers(e.Get("/debug/pprof/"), 404), answers(e.Get("/debug/pprof/heap"), 404))
	})

	t.Run("sd", func(t *testing.T) {
		host := strings.TrimPrefix(e.URL, "http://")
		check(t, targets(e.Get("/sd"), group(host, "http", "/probe", "default")))
		check(t, targets(e.Get("/sd/native"), group(host, "http", "/native", "default", "__param_url", u, "instance", strings.TrimPrefix(u, "https://"))))
		// What the list says leads to the metrics.
		check(t, e.Scrape("/probe?cluster=default").Up(u))
	})

	t.Run("native", func(t *testing.T) { nativeMetrics(t, e, u) })
}

// targetGroup is what Prometheus reads.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func group(host, scheme, path, cluster string, more ...string) targetGroup {
	labels := map[string]string{"__scheme__": scheme, "__metrics_path__": path, "__param_cluster": cluster, "cluster": cluster}
	for i := 0; i+1 < len(more); i += 2 {
		labels[more[i]] = more[i+1]
	}
	return targetGroup{[]string{host}, labels}
}

// targets is an error unless the answer is exactly those groups, as Prometheus
// wants them: status 200, JSON by its content type, no other field.
func targets(a *Answer, want ...targetGroup) error {
	if err := hasHeaders(a, "Content-Type", "application/json"); err != nil || a.Status != 200 {
		return fmt.Errorf("status %d: %w", a.Status, err)
	}
	var got []targetGroup
	decoder := json.NewDecoder(strings.NewReader(a.Body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		return fmt.Errorf("%s: %w", a.Body, err)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("target groups are %v, want %v", got, want)
	}
	return nil
}

func nativeMetrics(t *testing.T, e *Exporter, u string) {
	path := "/native?cluster=default&url="
	a := e.Get(path + url.QueryEscape(u))
	check(t, answers(a, 200, "\netcd_server_has_leader 1\n"),
		hasHeaders(a, "Content-Type", "text/plain; version=0.0.4", "X-Content-Type-Options", "nosniff"))
	if got := a.Header.Get("Content-Encoding"); got != "" {
		t.Errorf("encoded as %q unasked", got)
	}
	s, err := parse(t, a.Body, 0)
	must(t, err)
	check(t, s.Want(1, "etcd_server_is_leader"), s.WantNone("endpoint_up"))
	check(t, answers(e.Get(path+u+"/"), 200)) // a slash at the end is no other endpoint

	packed := e.Get(path+u, "Accept-Encoding", "gzip")
	check(t, answers(packed, 200), hasHeaders(packed, "Content-Encoding", "gzip", "Content-Type", "text/plain"))
	reader, err := gzip.NewReader(strings.NewReader(packed.Body))
	must(t, err)
	text, err := io.ReadAll(reader)
	must(t, err)
	if !bytes.Contains(text, []byte("\netcd_server_has_leader 1\n")) {
		t.Error("what was packed are no metrics")
	}

	host := strings.TrimPrefix(u, "https://")
	for _, other := range []string{"http://" + host, host, u + "/metrics", u + "?x", u + "#", "https://user@" + host, "https://127.0.0.1:1", "file:///etc/passwd", "http://169.254.169.254", strings.ToUpper(u)} {
		check(t, refuses(e.Get(path+url.QueryEscape(other)), 404))
	}
	check(t, refuses(e.Get("/native?cluster=default"), 400, "url"), refuses(e.Get("/native?url="+u), 400, "cluster"),
		refuses(e.Get("/native?cluster=nope&url="+u), 404, "default"))
}

// TestHTTPNativeDown asks for the metrics of members that cannot give them.
func TestHTTPNativeDown(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1, Version: "3.6.16"})
	u := l.Endpoints()[0]
	e := exportLab(t, l, "--scrape.timeout=1s")
	path := "/native?cluster=default&url=" + u
	check(t, answers(e.Get(path), 200))
	must(t, l.Member(0).Pause())
	stopped := e.Get(path)
	check(t, refuses(stopped, 504, u))
	if stopped.Took > 3*time.Second {
		t.Errorf("a stopped member is given up after %s", stopped.Took)
	}
	must(t, l.Member(0).Resume())
	await(t, soon, "the member is back", func() error { return answers(e.Get(path), 200) })
	must(t, l.Member(0).Kill())
	check(t, refuses(e.Get(path), 502, u, "refused"))
}

func TestHTTPSeveralClusters(t *testing.T) {
	t.Parallel()
	a, b := startLab(t, lab.Options{Members: 1, TLS: lab.Plain}), startLab(t, lab.Options{Members: 1})
	urlA, urlB := a.Endpoints()[0], b.Endpoints()[0]
	file := filepath.Join(t.TempDir(), "etcdops.yml")
	must(t, pki.WriteFile(file, fmt.Appendf(nil, `clusters:
  - {name: zeta, endpoints: [%s]}
  - name: alpha
    endpoints: [%s]
    tls: {ca_file: %q, cert_file: %q, key_file: %q}
`, urlA, urlB, b.CAFile(), b.ClientCert(), b.ClientKey()), 0o600))
	e := startExporter(t, "--config.file="+file, "--web.external-url=https://exporter.example:8443/sub/", "--web.enable-pprof")

	own := e.Scrape("/metrics")
	check(t, own.WantNone("endpoint_up"), own.WantNone("exporter_collector_success"), own.Want(1, "exporter_config_last_reload_successful"))
	if !own.Has("etcd_exporter_build_info") {
		t.Error("/metrics has no etcd_exporter_build_info")
	}
	check(t, knows(e.Scrape("/probe?cluster=zeta"), urlA), knows(e.Scrape("/probe?cluster=alpha"), urlB),
		refuses(e.Get("/probe?cluster=default"), 404, "zeta, alpha"),
		refuses(e.Get("/native?cluster=zeta&url="+urlB), 404), answers(e.Get("/", ""), 200, "zeta", "alpha", urlA, urlB),
		answers(e.Get("/debug/pprof/"), 200), answers(e.Get("/debug/pprof/goroutine?debug=1"), 200, "goroutine profile"))

	const host = "exporter.example:8443"
	check(t, targets(e.Get("/sd"), group(host, "https", "/sub/probe", "zeta"), group(host, "https", "/sub/probe", "alpha")))
	check(t, targets(e.Get("/sd/native"),
		group(host, "https", "/sub/native", "zeta", "__param_url", urlA, "instance", strings.TrimPrefix(urlA, "http://")),
		group(host, "https", "/sub/native", "alpha", "__param_url", urlB, "instance", strings.TrimPrefix(urlB, "https://"))))
}

// TestHTTPWebConfig serves over TLS and asks for a password, as exporter-toolkit
// does.
func TestHTTPWebConfig(t *testing.T) {
	t.Parallel()
	ca, err := pki.NewCA("web CA")
	must(t, err)
	pair, err := ca.Server(pki.Spec{CommonName: "exporter", Hosts: pki.Loopback()})
	must(t, err)
	dir := t.TempDir()
	must(t, pair.Write(filepath.Join(dir, "web.crt"), filepath.Join(dir, "web.key")))
	const opensesame = "$2a$04$bUK/bLqk2vrViGO7pQ2oNOFfDYM.m4W5BG3iBD3R051veWbkUaeOi"
	file := filepath.Join(dir, "web.yml")
	must(t, pki.WriteFile(file, []byte("tls_server_config: {cert_file: web.crt, key_file: web.key}\nbasic_auth_users: {prometheus: '"+opensesame+"'}\n"), 0o600))

	e := startExporter(t, "--etcd.endpoints=http://127.0.0.1:1", "--web.config.file="+file)
	e.URL = strings.Replace(e.URL, "http://", "https://", 1)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	e.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}

	host := strings.TrimPrefix(e.URL, "https://")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.URL, nil)
	must(t, err)
	request.SetBasicAuth("prometheus", "opensesame")
	authorization := request.Header.Get("Authorization")
	for _, path := range []string{"/metrics", "/probe?cluster=default", "/sd", "/native?cluster=default&url=x", "/"} {
		if a := e.Get(path); a.Status != 401 {
			t.Errorf("%s answers %d without a password", path, a.Status)
		}
	}
	check(t, targets(e.Get("/sd", "Authorization", authorization), group(host, "https", "/probe", "default")))
	check(t, answers(e.Get("/metrics", "Authorization", authorization), 200, "etcdops_endpoint_up"))
	if a := e.Get("/metrics", "Authorization", "Basic eDp5"); a.Status != 401 {
		t.Errorf("/metrics answers %d to a wrong password", a.Status)
	}
}

// TestHTTPTimeoutHeader has an endpoint that never answers: the scrape takes all
// the time that it is given.
func TestHTTPTimeoutHeader(t *testing.T) {
	t.Parallel()
	u := "http://" + listen(t, silent)
	e := startExporter(t, "--etcd.endpoints="+u, "--scrape.timeout=2s", "--scrape.timeout-offset=200ms")
	ask := func(header string) error {
		s, err := e.scrape("/metrics", "X-Prometheus-Scrape-Timeout-Seconds", header)
		if err != nil {
			return err
		}
		short := header == "0.8" || header == " 8e-1"
		if full := s.Took > 1200*time.Millisecond; full == short || s.Took > 4*time.Second {
			return fmt.Errorf("with the header %q the scrape took %s", header, s.Took)
		}
		return s.Down(u, "timeout")
	}
	var wg sync.WaitGroup
	for _, header := range []string{"0.8", " 8e-1", "2.1", "30", "1e300", "", "soon", "5s", "NaN", "-NaN", "Inf", "-Inf", "-3", "0", "0.2", "0.2005", "0x", "1,5"} {
		wg.Go(func() { check(t, ask(header)) })
	}
	wg.Wait()
}
