// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	f := newFlags(&bytes.Buffer{}, &bytes.Buffer{})
	o, err := f.parse([]string{
		"--etcd.endpoints=https://a:2379,https://b:2379", "--etcd.endpoints=https://c:2379",
		"--no-collector.clock", "--scrape.timeout=3s", "--web.external-url=https://exporter.example/etcd",
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Flags.Endpoints) != 2 || !o.Flags.EndpointsSet {
		t.Errorf("endpoints %v, set %v", o.Flags.Endpoints, o.Flags.EndpointsSet)
	}
	if slices.Contains(o.Collectors, "clock") || !slices.Contains(o.Collectors, "status") {
		t.Errorf("collectors %v", o.Collectors)
	}
	if o.ScrapeTimeout != 3*time.Second || o.TimeoutOffset != 250*time.Millisecond {
		t.Errorf("timeout %v, offset %v", o.ScrapeTimeout, o.TimeoutOffset)
	}
	if o.ExternalURL.Host != "exporter.example" {
		t.Errorf("external URL %v", o.ExternalURL)
	}
}

// TestDefaults: a flag that was not given does not count as given.
func TestDefaults(t *testing.T) {
	f := newFlags(&bytes.Buffer{}, &bytes.Buffer{})
	o, err := f.parse([]string{"--config.file=etcdops.yml"})
	if err != nil {
		t.Fatal(err)
	}
	if o.Flags.EndpointsSet || o.Flags.BackupIntervalSet {
		t.Error("a default counts as given by the user")
	}
	if want := "status health clock members alarms compaction tls flags keyspace mirror backup"; strings.Join(o.Collectors, " ") != want {
		t.Errorf("collectors %v, want %s", o.Collectors, want)
	}
}

// TestBadCommandLines: each is one line that names the flag, and exit status 1.
func TestBadCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"--nope":                                 "--nope",
		"--scrape.timeout=5":                     "--scrape.timeout",
		"--scrape.timeout=-1s":                   "--scrape.timeout",
		"--scrape.timeout=0s":                    "--scrape.timeout",
		"--scrape.timeout-offset=-1s":            "--scrape.timeout-offset",
		"--log.level=loud":                       "--log.level",
		"--web.external-url=exporter:1":          "--web.external-url",
		"--web.external-url=ftp://exporter":      "--web.external-url",
		"--config.file=a --etcd.discover":        "--etcd.discover",
		"--config.file=a --backup.path=b":        "--backup.path",
		"--config.file=":                         "--config.file",
		"--web.listen-address=abc":               "--web.listen-address",
		"--web.config.file=testdata/web.yml":     `web.yml: line 2: unknown field "bogus"; line 3:`,
		"--etcd.probe-key=":                      "--etcd.probe-key",
		"argument":                               "argument",
		"--config.file=/nonexistent/etcdops.yml": "/nonexistent/etcdops.yml",
		"--etcd.endpoints=10.0.0.1:2379":         "--etcd.endpoints",
		"--etcd.endpoints=http://u:p@10.0.0.1:1": "--etcd.endpoints",

		"--etcd.endpoints=https://a:1 --etcd.cert-file=/nonexistent": "--etcd.",
	} {
		var stdout, stderr bytes.Buffer
		if code := run(append(strings.Fields(args), "--config.check"), &stdout, &stderr); code != 1 {
			t.Errorf("%s: exit status %d, want 1", args, code)
		}
		text := strings.TrimSpace(stderr.String())
		if !strings.Contains(text, want) || strings.Count(text, "\n") > 1 {
			t.Errorf("%s: want %q in one line, got:\n%s", args, want, text)
		}
	}
}

// TestHelp lists every flag with its default.
func TestHelp(t *testing.T) {
	var stdout bytes.Buffer
	if code := run([]string{"--help"}, &stdout, &bytes.Buffer{}); code != 0 {
		t.Fatalf("exit status %d", code)
	}
	_, listed, found := strings.Cut(stdout.String(), "Flags:")
	if !found {
		t.Fatal("no list of flags")
	}
	for name := range newFlags(&bytes.Buffer{}, &bytes.Buffer{}).set {
		_, text, found := strings.Cut(listed, name)
		if !found {
			t.Errorf("--%s is not in the help", name)
			continue
		}
		if entry, _, _ := strings.Cut(text, "\n      --"); !strings.Contains(entry, "=") && !strings.Contains(strings.Join(strings.Fields(entry), " "), "(default") {
			t.Errorf("--%s does not tell its default: %s", name, entry)
		}
	}
}
