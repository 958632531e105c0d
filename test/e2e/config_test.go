// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/etcdops/etcdops/test/lab"
	"github.com/etcdops/etcdops/test/pki"
)

// goTypes are words that a message for an operator must not hold.
var goTypes = regexp.MustCompile(`\b(config|yaml|main|exporter|time|netip|url)\.[A-Z]\w+|\b(struct|interface \{\}|map\[string\]|\[\]string|int64|!!\w+)|unmarshal|\.go:\d`)

// oneFault is an error unless the text is one or two lines for a person that
// hold all of the words.
func oneFault(text string, words ...string) error {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return errors.New("nothing is said")
	case strings.Count(text, "\n") > 1:
		return fmt.Errorf("more than two lines:\n%s", text)
	case goTypes.MatchString(text):
		return fmt.Errorf("%q is Go, not a message: %s", goTypes.FindString(text), text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			return fmt.Errorf("%q is not in: %s", word, text)
		}
	}
	return nil
}

func TestConfigCheckFaults(t *testing.T) {
	t.Parallel()
	const cluster = "clusters:\n  - name: a\n    endpoints: ['https://h:2379']\n"
	for name, test := range map[string]struct {
		text  string
		words []string // the first is the place: a line, a field
	}{
		"empty":                   {"", []string{"is empty", "clusters:"}},
		"no cluster":              {"clusters: []\n", []string{":1: clusters:"}},
		"no mapping":              {"- a\n", []string{":1:", "clusters:"}},
		"unknown field":           {cluster + "    endpoint: x\n", []string{":4: clusters[0].endpoint:", "endpoints"}},
		"unknown field, top":      {cluster + "probe_key: x\n", []string{":4: probe_key:"}},
		"field twice":             {cluster + "    name: b\n", []string{":4: clusters[0].name:", "line 2"}},
		"name twice":              {cluster + "  - {name: a, endpoints: ['http://h:1']}\n", []string{":4: clusters[1].name:", "line 2"}},
		"bad name":                {"clusters:\n  - {name: a/b, endpoints: ['http://h:1']}\n", []string{":2: clusters[0].name:", "a/b"}},
		"no endpoints":            {"clusters:\n  - name: a\n", []string{":2: clusters[0].endpoints:"}},
		"endpoints no list":       {"clusters:\n  - name: a\n    endpoints: http://h:1\n", []string{":3: clusters[0].endpoints:", "list"}},
		"endpoint without scheme": {"clusters:\n  - {name: a, endpoints: ['h:2379']}\n", []string{":2: clusters[0].endpoints[0]:", "scheme"}},
		"password in a URL":       {"clusters:\n  - {name: a, endpoints: ['http://root:hunter2@h:2379']}\n", []string{":2: clusters[0].endpoints[0]:"}},
		"bad duration":            {cluster + "    keyspaces: [{prefix: /, interval: 5}]\n", []string{":4: clusters[0].keyspaces[0].interval:", "30s"}},
		"bad number":              {cluster + "    keyspaces: [{prefix: /, max_groups: many}]\n", []string{":4: clusters[0].keyspaces[0].max_groups:", "many"}},
		"bad switch":              {cluster + "    discover: perhaps\n", []string{":4: clusters[0].discover:", "true or false"}},
		"bad network":             {cluster + "    allow_cidrs: [10.0.0.300/8]\n", []string{":4: clusters[0].allow_cidrs[0]:"}},
		"missing CA file":         {cluster + "    tls: {ca_file: nowhere.crt}\n", []string{":4: clusters[0].tls.ca_file:", "nowhere.crt"}},
		"CA that is none":         {cluster + "    tls: {ca_file: etcdops.yml}\n", []string{":4: clusters[0].tls.ca_file:", "certificate"}},
		"certificate alone":       {cluster + "    tls: {cert_file: etcdops.yml}\n", []string{":4: clusters[0].tls.cert_file:", "key_file"}},
		"user without password":   {cluster + "    auth: {username: root}\n", []string{":4: clusters[0].auth.username:", "password_file"}},
		"password in the file":    {cluster + "    auth: {username: root, password: hunter2}\n", []string{":4: clusters[0].auth.password:", "password_file"}},
		"metrics of a stranger":   {cluster + "    metrics_urls: {'https://x:1': 'http://x:2'}\n", []string{":4: clusters[0].metrics_urls", "https://x:1"}},
		"mirror of a stranger":    {cluster + "    mirror_of: prod\n", []string{":4: clusters[0].mirror_of:", "no cluster is called \"prod\""}},
		"mirror of itself":        {cluster + "    mirror_of: a\n", []string{":4: clusters[0].mirror_of:", "this cluster itself"}},
		"bad action":              {cluster + "remediation: {policies: [{name: p, action: reboot}]}\n", []string{":4: remediation.policies[0].action:", "reboot"}},
		"tab":                     {"clusters:\n\t- name: a\n", []string{":2:", "tab"}},
		"open bracket":            {"clusters:\n  - name: a\n    endpoints: [http://h:1\n", []string{":3:", "bracket"}},
		"two documents":           {cluster + "---\nclusters: []\n", []string{":4:", "documents"}},
		"binary":                  {"\x7fELF\x00\x01", []string{":1:"}},
		"alias to itself":         {"clusters: &a [*a]\n", []string{":1: clusters[0]:"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "etcdops.yml")
			must(t, pki.WriteFile(file, []byte(test.text), 0o600))
			status, stdout, stderr := runExporter(t, "--config.check", "--config.file="+file)
			if status != 1 || stdout != "" {
				t.Errorf("status %d, output %q", status, stdout)
			}
			check(t, oneFault(stderr, append(test.words, "etcdops.yml:")...))
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("a password is repeated: %s", stderr)
			}
			if name != "empty" {
				return
			}
			// Without the check the program says the same and does not start.
			status, _, stderr = runExporter(t, "--config.file="+file, "--web.listen-address=127.0.0.1:0")
			if status != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "is empty") {
				t.Errorf("status %d: %s", status, stderr)
			}
		})
	}
}

func TestConfigCheckGood(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := runExporter(t, "--config.check")
	if status != 0 || stderr != "" || strings.Count(stdout, "\n") != 1 {
		t.Errorf("status %d, output %q, %q", status, stdout, stderr)
	}
	// Several faults are told at once, in the order of the file.
	file := filepath.Join(t.TempDir(), "etcdops.yml")
	must(t, pki.WriteFile(file, []byte("clusters:\n  - name: a\n    endpoints: [h]\n    discover: 7\n    nope: 1\n"), 0o600))
	status, _, stderr = runExporter(t, "--config.check", "--config.file="+file)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	if status != 1 || len(lines) != 3 || !strings.Contains(lines[0], ":3:") || !strings.Contains(lines[1], ":4:") || !strings.Contains(lines[2], ":5:") {
		t.Errorf("status %d: %s", status, stderr)
	}
	// A secret that everyone can read is legal, and warned of.
	secret := filepath.Join(filepath.Dir(file), "password")
	must(t, pki.WriteFile(secret, []byte("hunter2"), 0o644),
		pki.WriteFile(file, []byte("clusters:\n  - {name: a, endpoints: ['http://h:1'], auth: {username: u, password_file: password}}\n"), 0o600))
	status, stdout, stderr = runExporter(t, "--config.check", "--config.file="+file)
	if status != 0 || strings.Count(stdout, "warning:") != 1 || strings.Contains(stdout+stderr, "hunter2") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}

func TestFlagsMisused(t *testing.T) {
	t.Parallel()
	for _, test := range [][]string{ // the arguments, then what the message names
		{"--nope", "--nope"},
		{"--collector.nope", "--collector.nope"},
		{"stray", "stray"},
		{"--scrape.timeout=abc", "--scrape.timeout"},
		{"--scrape.timeout=5", "--scrape.timeout"},
		{"--scrape.timeout=-1s", "--scrape.timeout"},
		{"--scrape.timeout=0s", "--scrape.timeout"},
		{"--scrape.timeout-offset=-1s", "--scrape.timeout-offset"},
		{"--backup.interval=often", "--backup.interval"},
		{"--log.level=loud", "--log.level"},
		{"--log.format=xml", "--log.format"},
		{"--etcd.endpoints", "--etcd.endpoints"},
		{"--etcd.endpoints=localhost:2379", "--etcd.endpoints"},
		{"--etcd.endpoints=ftp://h:1", "--etcd.endpoints"},
		{"--etcd.endpoints=http://h", "--etcd.endpoints"},
		{"--etcd.endpoints=http://u:hunter2@h:1", "--etcd.endpoints"},
		{"--etcd.endpoints=http://h:1,http://h:1", "--etcd.endpoints"},
		{"--etcd.endpoints=", "--etcd.endpoints"},
		{"--etcd.endpoints=https://h:1", "--etcd.ca-file=/nowhere", "--etcd.ca-file"},
		{"--etcd.endpoints=https://h:1", "--etcd.cert-file=/nowhere", "--etcd.cert-file"},
		{"--etcd.username=u", "--etcd.username"},
		{"--etcd.kubeadm-manifest=/nowhere", "--etcd.kubeadm-manifest"},
		{"--etcd.kubeadm-manifest=/etc/passwd", "--etcd.kubeadm-manifest"},
		{"--config.file=/nowhere", "/nowhere"},
		{"--config.file=/", "/"},
		{"--config.file=", "--config.file"},
		{"--config.file=/nowhere", "--etcd.endpoints=http://h:1", "--etcd.endpoints"},
		{"--config.file=/nowhere", "--backup.path=/x", "--backup.path"},
		{"--web.external-url=example.org", "--web.external-url"},
		{"--web.external-url=http://u:hunter2@h", "--web.external-url"},
		{"--web.listen-address=nonsense", "nonsense"},
		{"--web.config.file=/nowhere", "/nowhere"},
	} {
		args, word := test[:len(test)-1], test[len(test)-1]
		t.Run(strings.Join(append(args, word)[:len(args)], " "), func(t *testing.T) {
			t.Parallel()
			if len(args) == 0 {
				args = []string{word}
			}
			if !strings.Contains(strings.Join(args, " "), "--web.listen-address") {
				args = append(args, "--web.listen-address=127.0.0.1:0")
			}
			status, stdout, stderr := runExporter(t, args...)
			if status != 1 || stdout != "" {
				t.Errorf("status %d, output %q", status, stdout)
			}
			if n := len(complaints(stderr)); n != 1 {
				t.Errorf("want one line, not:\n%s", stderr)
			}
			if !strings.Contains(stderr, word) {
				t.Errorf("%q is not named: %s", word, stderr)
			}
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("a password is repeated: %s", stderr)
			}
		})
	}
}

// complaints are the lines that say more than what the program is about to do.
func complaints(stderr string) []string {
	return slices.DeleteFunc(slices.Collect(strings.Lines(stderr)), func(line string) bool { return strings.HasPrefix(line, "level=info ") })
}

// contractFlags are the contract's, with what --help must say of their default.
var contractFlags = map[string]string{
	"etcd.endpoints": "http://127.0.0.1:2379", "etcd.discover": "off", "etcd.kubeadm-manifest": "none",
	"etcd.ca-file": "system", "etcd.cert-file": "none", "etcd.key-file": "none", "etcd.server-name": "host",
	"etcd.username": "none", "etcd.password-file": "none", "etcd.probe-key": "health",
	"config.file": "none", "config.check": "off", "scrape.timeout": "5s", "scrape.timeout-offset": "250ms",
	"backup.path": "none", "backup.interval": "24h",
	"web.listen-address": ":10379", "web.config.file": "", "web.systemd-socket": "", "web.external-url": "Host", "web.enable-pprof": "off",
	"log.level": "info", "log.format": "logfmt",
	"collector.status": "on", "collector.health": "on", "collector.clock": "on", "collector.members": "on",
	"collector.alarms": "on", "collector.compaction": "on", "collector.tls": "on",
}

func TestHelpAndVersion(t *testing.T) {
	t.Parallel()
	status, help, stderr := runExporter(t, "--help")
	if status != 0 || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	// One paragraph a flag, which begins where a line has dashes.
	paragraphs := regexp.MustCompile(`(?m)^  (-\w, |    )--`).Split(help, -1)
	for name, initial := range contractFlags {
		found := ""
		for _, text := range paragraphs {
			text = strings.TrimPrefix(strings.Join(strings.Fields(text), " "), "[no-]")
			if strings.HasPrefix(text, name+"=") || strings.HasPrefix(text, name+" ") {
				found = text
			}
		}
		if found == "" || !strings.Contains(found, initial) {
			t.Errorf("--%s (default %s) is described as %q", name, initial, found)
		}
	}
	status, version, stderr := runExporter(t, "--version")
	if status != 0 || stderr != "" || !strings.HasPrefix(version, "etcd_exporter, version ") {
		t.Errorf("status %d: %s%s", status, version, stderr)
	}
}

// manifest writes what kubeadm would for a member of the lab, with the pair that
// it gives to probes beside the CA.
func manifest(t *testing.T, l *lab.Lab, file string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pki")
	ca, err := os.ReadFile(l.CAFile())
	must(t, err, pki.WriteFile(filepath.Join(dir, "ca.crt"), ca, 0o644))
	pair, err := l.CA().Client(pki.Spec{CommonName: "kube-etcd-healthcheck-client"})
	must(t, err, pair.Write(filepath.Join(dir, "healthcheck-client.crt"), filepath.Join(dir, "healthcheck-client.key")))
	text := fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: etcd, namespace: kube-system}
spec:
  containers:
  - name: etcd
    command:
    - etcd
    - --advertise-client-urls=%s
    - --data-dir=/var/lib/etcd
    - --listen-client-urls=https://127.0.0.1:2379,%[1]s
    - --trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt
    volumeMounts:
    - {mountPath: /var/lib/etcd, name: etcd-data}
    - {mountPath: /etc/kubernetes/pki/etcd, name: etcd-certs}
  volumes:
  - {name: etcd-certs, hostPath: {path: %s}}
  - {name: etcd-data, hostPath: {path: %s}}
`, l.Member(0).ClientURL(), dir, l.Member(0).DataDir())
	must(t, pki.WriteFile(file, []byte(text), 0o600))
}

func TestKubeadmManifest(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1})
	file := filepath.Join(t.TempDir(), "etcd.yaml")
	manifest(t, l, file)
	e := startExporter(t, "--etcd.kubeadm-manifest="+file)
	s, u := e.Scrape("/metrics"), l.Endpoints()[0]
	check(t, knows(s, u), s.Up(u), healthy(s, 1, u), collectors(s))
	if !s.Has("endpoint_disk_free_bytes", "url", u) {
		t.Error("the data directory is not taken from the manifest")
	}
	if subject := s.LabelsOne(notAfter, "role", "client")["subject"]; !strings.Contains(subject, "kube-etcd-healthcheck-client") {
		t.Errorf("the client is %s", subject)
	}
}

// TestKubeadmHint needs the path that kubeadm uses, so it runs only where that
// is nobody's: in CI, as root, on a host without Kubernetes.
func TestKubeadmHint(t *testing.T) {
	const root = "/etc/kubernetes"
	if os.Getenv("CI") == "" || os.Geteuid() != 0 {
		t.Skip("not root in CI")
	}
	if _, err := os.Lstat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is there: %v", root, err)
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:2379"); err == nil {
		conn.Close()
		t.Skip("somebody listens on the default port")
	}
	file := filepath.Join(root, "manifests", "etcd.yaml")
	t.Cleanup(func() { check(t, os.RemoveAll(root)) })
	l := startLab(t, lab.Options{Members: 1})
	manifest(t, l, file)
	e := startExporter(t)
	for range 3 {
		check(t, e.Scrape("/metrics").Down("http://127.0.0.1:2379", "refused"))
	}
	const try = "--etcd.kubeadm-manifest=/etc/kubernetes/manifests/etcd.yaml"
	check(t, logsOnce(e, "kubeadm", try, "--etcd.endpoints="+l.Endpoints()[0]))
	s := startExporter(t, try).Scrape("/metrics")
	check(t, s.Up(l.Endpoints()[0]))

	given := startExporter(t, "--etcd.endpoints=http://127.0.0.1:2379")
	check(t, given.Scrape("/metrics").Down("http://127.0.0.1:2379", "refused"))
	if logged(given, "kubeadm") != 0 {
		t.Error("who names an endpoint needs no hint")
	}
}
