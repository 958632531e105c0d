// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/etcdops/etcdops/test/pki"
)

// token is what Alertmanager and the remediator share.
const token = "a-token-of-the-loop-alone"

// Triggers are the alerts that deploy/alertmanager.yml hands to the remediator.
var Triggers = []string{
	"EtcdAlarmNoSpace", "EtcdBackupMissing", "EtcdBackupTooOld", "EtcdEventsFlood", "EtcdFragmented", "EtcdQuotaLow",
}

// beside is what the configuration says beside the lab's own part. The policies are
// those of the documentation, in a hurry.
const beside = `    discover: true
    keyspaces:
      - {prefix: /registry/, interval: 1s, max_groups: 50, sample_bytes: true}
      - {prefix: /registry/events/, interval: 1s, max_groups: 50}
    backups:
      - {name: local, path: "{backups}", pattern: "*.db", interval: 1h, check_interval: 1s}
remediation:
  journal: "{journal}"
  bearer_token_file: "{token}"
  policies:
    - name: reclaim
      matchers: ['alertname="EtcdFragmented"']
      action: defrag
      defrag: {min_reclaimable: 1MiB, settle: 1s}
      <<: &hurry {clusters: [lab], stable_for: 2s, cooldown: 0s, max_runs_per_day: 100, accept_unknown_disk: true}
    - name: flood
      matchers: ['alertname="EtcdEventsFlood"']
      action: prune_events
      require_snapshot: 24h
      prune_events: {prefix: /registry/events/, older_than: 5s, keys_per_second: 2000}
      <<: *hurry
    - name: full
      matchers: ['alertname="EtcdAlarmNoSpace"']
      action: recover_space
      require_snapshot: "off"
      compact: {keep: 5s}
      defrag: {settle: 1s}
      <<: *hurry
    - name: backup
      matchers: ['alertname=~"EtcdBackup(TooOld|Missing)"', 'store="local"']
      action: snapshot
      snapshot: {store: local, keep: 3}
      <<: *hurry
`

// configure writes the configuration that both programs read. The client pair is a
// copy, which a test may replace without losing its own way to etcd.
func (s *Stack) configure() error {
	base, err := s.Lab.WriteConfig(nil)
	if err != nil {
		return err
	}
	clusters, err := os.ReadFile(base)
	if err != nil {
		return err
	}
	text := string(clusters) + beside
	if cert := s.Lab.ClientCert(); cert != "" {
		if err := s.UseClient(cert, s.Lab.ClientKey()); err != nil {
			return err
		}
		text = strings.NewReplacer(cert, s.path(clientCert), s.Lab.ClientKey(), s.path(clientKey)).Replace(text)
	}
	text = strings.NewReplacer("{journal}", s.path("journal"), "{token}", s.path("token"), "{backups}", s.BackupDir()).Replace(text)
	return errors.Join(s.write("token", token+"\n"), s.write("etcdops.yml", text))
}

// The client pair of the exporter and the remediator.
const (
	clientCert = "client.crt"
	clientKey  = "client.key"
)

// UseClient gives both programs another client pair, which they read when it changes.
func (s *Stack) UseClient(certFile, keyFile string) error {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return err
	}
	return pki.Pair{Cert: cert, Key: key}.Write(s.path(clientCert), s.path(clientKey))
}

// StartExporter starts the exporter, after a StopExporter where it was before.
func (s *Stack) StartExporter(ctx context.Context) (err error) {
	address := "127.0.0.1:0"
	if s.Exporter != nil {
		address = strings.TrimPrefix(s.Exporter.URL, "http://")
	}
	s.options.Log("starting etcd_exporter")
	s.Exporter, err = s.nursery.start(ctx, "etcd_exporter", filepath.Join(s.options.Programs, "etcd_exporter"),
		"--config.file="+s.path("etcdops.yml"), "--web.listen-address="+address, "--scrape.timeout-offset=50ms", "--collector.hash")
	return err
}

// StopExporter ends the exporter.
func (s *Stack) StopExporter() error { return s.Exporter.stop() }

func (s *Stack) startRemediator(ctx context.Context) (err error) {
	s.options.Log("starting etcd_remediator")
	s.Remediator, err = s.nursery.start(ctx, "etcd_remediator", filepath.Join(s.options.Programs, "etcd_remediator"),
		"serve", "--config.file="+s.path("etcdops.yml"), "--web.listen-address=127.0.0.1:0", "--mode="+s.options.Mode)
	return err
}

func (s *Stack) startAlertmanager(ctx context.Context) error {
	binary, err := Tool(s.options.Root, "alertmanager")
	if err != nil {
		return err
	}
	if err := s.writeAlertmanager(s.Remediator.URL); err != nil {
		return err
	}
	s.options.Log("starting Alertmanager")
	s.Alertmanager, err = s.nursery.start(ctx, "Alertmanager", binary, "--config.file="+s.path("alertmanager.yml"),
		"--storage.path="+s.path("alertmanager"), "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
	return err
}

// writeAlertmanager adapts deploy/alertmanager.yml.
func (s *Stack) writeAlertmanager(webhook string) error {
	return s.adapt("alertmanager.yml",
		"http://127.0.0.1:10380", webhook,
		"http://127.0.0.1:9099", s.People.URL,
		"/etc/alertmanager/etcd_remediator.token", s.path("token"),
		"group_wait: 30s", "group_wait: 100ms",
		"group_wait: 10s", "group_wait: 100ms",
		"group_interval: 5m", "group_interval: 1s",
		"group_interval: 1m", "group_interval: 1s",
		"repeat_interval: 10m", "repeat_interval: "+s.options.Repeat.String(),
	)
}

// RouteWebhook has Alertmanager send what is for the remediator to another address.
func (s *Stack) RouteWebhook(ctx context.Context, to string) error {
	if err := s.writeAlertmanager(to); err != nil {
		return err
	}
	_, err := do(ctx, "POST", s.Alertmanager.URL+"/-/reload", nil)
	return err
}

func (s *Stack) startPrometheus(ctx context.Context) error {
	binary, err := Tool(s.options.Root, "prometheus")
	if err != nil {
		return err
	}
	if err := s.render(ctx); err != nil {
		return err
	}
	if err := s.writePrometheus("127.0.0.1:0"); err != nil {
		return err
	}
	s.options.Log("starting Prometheus")
	s.Prometheus, err = s.nursery.start(ctx, "Prometheus", binary, "--config.file="+s.path("prometheus.yml"),
		"--storage.tsdb.path="+s.path("prometheus"), "--web.listen-address=127.0.0.1:0", "--web.enable-lifecycle")
	if err != nil {
		return err
	}
	// Only now is it known where it is to scrape itself.
	if err := s.writePrometheus(strings.TrimPrefix(s.Prometheus.URL, "http://")); err != nil {
		return err
	}
	return Await(ctx, startTime, "Prometheus reads its configuration again", func() error {
		_, err := do(ctx, "POST", s.Prometheus.URL+"/-/reload", nil)
		return err
	})
}

// writePrometheus adapts deploy/prometheus.yml.
func (s *Stack) writePrometheus(own string) error {
	every := s.options.Every.String()
	return s.adapt("prometheus.yml",
		"scrape_interval: 30s", "scrape_interval: "+every,
		"scrape_timeout: 10s", "scrape_timeout: "+every,
		"evaluation_interval: 30s", "evaluation_interval: "+every,
		"refresh_interval: 1m", "refresh_interval: 5s",
		"127.0.0.1:10379", strings.TrimPrefix(s.Exporter.URL, "http://"),
		"127.0.0.1:10380", strings.TrimPrefix(s.Remediator.URL, "http://"),
		"127.0.0.1:9093", strings.TrimPrefix(s.Alertmanager.URL, "http://"),
		"127.0.0.1:9090", own,
	)
}

// adapt writes a file of deploy/ with some texts replaced; each must be there.
func (s *Stack) adapt(name string, pairs ...string) error {
	text, err := os.ReadFile(filepath.Join(s.options.Root, "deploy", name))
	if err != nil {
		return err
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			return fmt.Errorf("deploy/%s does not hold %q", name, pairs[i])
		}
	}
	return s.write(name, strings.NewReplacer(pairs...).Replace(string(text)))
}

func (s *Stack) write(name, text string) error {
	return os.WriteFile(s.path(name), []byte(text), 0o600)
}
