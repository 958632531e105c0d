// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// The whole schema, every value another than its default where it has one.
func TestLoadFull(t *testing.T) {
	dir := secretDir(t)
	text, err := os.ReadFile(filepath.Join("testdata", "full.yml"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := Load(write(t, dir, "etcdops.yml", string(text), 0o644), CheckRemediationSecrets())
	if err != nil {
		t.Fatalf("unexpected faults:\n%v", err)
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	raw := v.Clusters[0].Backups[1].ObjStore.Config
	want := Cluster{
		Name: "prod", Endpoints: []string{"https://10.0.0.1:2379", "https://10.0.0.2:2379"}, Discover: true,
		AllowCIDRs:  []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		TLS:         TLS{CAFile: in("ca.crt"), CertFile: in("client.crt"), KeyFile: in("client.key"), ServerName: "etcd.example.org"},
		Auth:        Auth{Username: "root", PasswordFile: in("password")},
		ProbeKey:    "/probe",
		MetricsURLs: map[string]string{"https://10.0.0.1:2379": "http://10.0.0.1:2381"},
		DataDirs:    map[string]string{"https://10.0.0.1:2379": "/var/lib/etcd"},
		Keyspaces: []Keyspace{
			{Prefix: "/registry/", Interval: 2 * time.Minute, MaxGroups: 100, SampleBytes: true, SampleExclude: []string{}},
			{Prefix: "/registry/events/", Interval: time.Minute, MaxGroups: 200, SampleExclude: []string{"secrets"}},
		},
		Backups: []Backup{
			{
				Name: "local", Path: in("backups"), Pattern: "*.db.gz", Interval: 6 * time.Hour, CheckInterval: 10 * time.Second,
				TimeFromName: "snap-20060102150405.db.gz", MaxBytesPerSecond: 50 << 20, ScratchDirectory: "/var/tmp", DrillResultFile: in("drill.json"),
			},
			{
				Name: "offsite", Pattern: "*.db", Interval: 7 * 24 * time.Hour, CheckInterval: 5 * time.Minute, Verify: true,
				ObjStore: &ObjStore{Type: "S3", Config: raw, Prefix: "prod/"},
			},
		},
		MirrorOf: "source", MirrorPrefixes: []string{"/registry/events/"},
	}
	if !v.Clusters[0].Equal(want) {
		t.Errorf("got  %+v\nwant %+v", v.Clusters[0], want)
	}
	checkFullRemediation(t, v.Remediation, in)
	if len(v.Warnings) != 0 {
		t.Errorf("warnings: %q", v.Warnings)
	}
}

func checkFullRemediation(t *testing.T, r *Remediation, in func(string) string) {
	t.Helper()
	if got, want := r.BearerTokenFile+r.AdminTokenFile+r.Notify.Grafana.TokenFile+r.Journal, in("token")+in("token2")+in("token")+in("journal"); got != want {
		t.Errorf("files %q, want %q", got, want)
	}
	if len(r.Windows) != 1 || len(r.Policies) != 6 || r.MaxConcurrentClusters != 2 || !r.Election.Enabled || r.AlertClusterLabel != "etcd" {
		t.Errorf("remediation %+v", r)
	}
	window, err := r.Windows[0].YAML()
	if err != nil || !strings.Contains(string(window), "start_time: 01:00") {
		t.Errorf("window %q, %v", window, err)
	}
	reclaim := Policy{
		Name: "reclaim", Mode: "enforce", Matchers: []string{`alertname="EtcdFragmented"`}, Clusters: []string{"prod"}, Action: "defrag",
		Cooldown: 12 * time.Hour, MaxRunsPerDay: 2, MaxDuration: 2 * time.Hour, StableFor: 20 * time.Minute, AllowSmallCluster: true,
		AcceptKnownIssues: []string{"14685", "20650"}, AcceptUnknownDisk: true, RequireQueries: []string{"up == 1"},
		Defrag: &Defrag{MinReclaimable: 1 << 30, MinFragmentation: 0.3, Settle: time.Minute, MaxPause: 20 * time.Second},
	}
	if !reflect.DeepEqual(r.Policies[0], reclaim) {
		t.Errorf("got  %+v\nwant %+v", r.Policies[0], reclaim)
	}
	if p := r.Policies[1]; p.RequireSnapshot != (RequireSnapshot{MaxAge: 24 * time.Hour}) || p.PruneEvents == nil || p.PruneEvents.MaxKeys != 1000 {
		t.Errorf("flood %+v", p)
	}
	if p := r.Policies[2]; p.RequireSnapshot != (RequireSnapshot{Off: true}) || p.Compact.Keep != 15*time.Minute || p.StableFor != time.Minute {
		t.Errorf("full %+v", p)
	}
	if p := r.Policies[3]; p.Snapshot == nil || *p.Snapshot != (Snapshot{Store: "local", Keep: 7}) {
		t.Errorf("backup %+v", p)
	}
}

func TestDefaults(t *testing.T) {
	v := mustParse(t, t.TempDir(), base+`    backups: [{name: f, path: /b}, {name: o, objstore: {type: GCS, config: {}}}]
remediation:
  policies:
    - {name: a, action: recover_space}
    - {name: b, action: prune_events, prune_events: {prefix: /registry/events/}, require_snapshot: 'off'}
    - {name: c, action: snapshot, snapshot: {store: f}}
`)
	c := v.Clusters[0]
	want := Cluster{
		Name: "a", Endpoints: []string{"https://10.0.0.1:2379"}, ProbeKey: "health",
		Keyspaces: []Keyspace{
			{Prefix: "/registry/", Interval: time.Minute, MaxGroups: 200, SampleExclude: []string{"secrets"}},
			{Prefix: "/registry/events/", Interval: 30 * time.Second, MaxGroups: 500, SampleExclude: []string{"secrets"}},
		},
		Backups: []Backup{
			{Name: "f", Path: "/b", Pattern: "*.db", Interval: 24 * time.Hour, CheckInterval: 30 * time.Second, Verify: true},
			{Name: "o", ObjStore: c.Backups[1].ObjStore, Pattern: "*.db", Interval: 24 * time.Hour, CheckInterval: 5 * time.Minute, Verify: true},
		},
	}
	if !c.Equal(want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	r := v.Remediation
	if r.Journal != DefaultJournal || r.AlertClusterLabel != "cluster" || r.MaxConcurrentClusters != 1 || r.Election != (Election{Prefix: DefaultElectionPrefix}) {
		t.Errorf("remediation %+v", r)
	}
	recovery := Policy{
		Name: "a", Action: "recover_space", Cooldown: 6 * time.Hour, MaxRunsPerDay: 4, MaxDuration: time.Hour, StableFor: time.Minute,
		Defrag:  &Defrag{MinReclaimable: 100 << 20, MinFragmentation: 0.45, Settle: 30 * time.Second, MoveLeader: true, MaxPause: 30 * time.Second},
		Compact: &Compact{Keep: 10 * time.Minute},
	}
	if !reflect.DeepEqual(r.Policies[0], recovery) {
		t.Errorf("got  %+v\nwant %+v", r.Policies[0], recovery)
	}
	if p := r.Policies[1]; p.StableFor != 10*time.Minute || *p.PruneEvents != (PruneEvents{Prefix: "/registry/events/", OlderThan: 30 * time.Minute, MaxKeys: 500000, KeysPerSecond: 1000}) {
		t.Errorf("prune %+v %+v", p, p.PruneEvents)
	}
	if k := r.Policies[2].Snapshot.Keep; k != 0 {
		t.Errorf("keep %d, want 0 (all)", k)
	}
}

// Equal decides what a reload keeps running.
func TestEqual(t *testing.T) {
	text := base + "    backups: [{name: o, objstore: {type: S3, config: {bucket: b, key: 0123}}}]\n"
	dir := t.TempDir()
	a := mustParse(t, dir, text).Clusters[0]
	for name, same := range map[string]string{
		"moved and commented": "# new\n\n" + strings.Replace(text, "key: 0123}", "'key': 0123} # x\n    ", 1),
		"aliased":             strings.Replace(text, "{bucket: b", "{&x bucket: &y b", 1),
		"normalised":          strings.Replace(text, "https://10.0.0.1:2379", "HTTPS://10.0.0.1:2379/", 1),
		"defaults spelt out":  text + "    probe_key: health\n    allow_cidrs: []\n    metrics_urls: {}\n    tls: {ca_file: ''}\n",
	} {
		if b := mustParse(t, dir, same).Clusters[0]; !a.Equal(b) {
			t.Errorf("%s: %+v is not %+v", name, b, a)
		}
	}
	for name, other := range map[string]string{
		"objstore":  strings.Replace(text, "0123", "123", 1),
		"keyspaces": text + "    keyspaces: []\n",
		"discover":  text + "    discover: true\n",
		"endpoint":  strings.Replace(text, "10.0.0.1", "10.0.0.2", 1),
	} {
		if b := mustParse(t, dir, other).Clusters[0]; a.Equal(b) {
			t.Errorf("%s: equal", name)
		}
	}
}

func TestMergeKeys(t *testing.T) {
	v := mustParse(t, t.TempDir(), `clusters:
  - &common
    name: a
    endpoints: [http://h:1]
    probe_key: /x
  - <<: *common
    name: b
    endpoints: [http://h:2]
  - {<<: [{name: c, endpoints: [http://h:3]}, *common]}
`)
	var got []string
	for _, c := range v.Clusters {
		got = append(got, c.Name+" "+c.Endpoints[0]+" "+c.ProbeKey)
	}
	if want := []string{"a http://h:1 /x", "b http://h:2 /x", "c http://h:3 /x"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRequireSnapshotSpellings(t *testing.T) {
	for _, off := range []string{"off", "Off", `"off"`, "false"} {
		v := mustParse(t, t.TempDir(), base+"remediation: {policies: [{name: p, action: disarm, require_snapshot: "+off+"}]}\n")
		if !v.Remediation.Policies[0].RequireSnapshot.Off {
			t.Errorf("%s is not off", off)
		}
	}
}

// A relative glob is a pattern; the directory it is relative to is not.
func TestRelativeGlob(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "odd[1]")
	file := write(t, dir, "snaps/a.db", "x", 0o600)
	b := mustParse(t, dir, base+"    backups: [{name: g, path: 'snaps/*.db'}, {name: d, path: snaps}]\n").Clusters[0].Backups
	found, err := filepath.Glob(b[0].Path)
	if err != nil || !b[0].Glob || !reflect.DeepEqual(found, []string{file}) {
		t.Errorf("%q found %q, %v", b[0].Path, found, err)
	}
	if b[1].Glob || b[1].Path != filepath.Dir(file) {
		t.Errorf("directory %+v", b[1])
	}
}

func TestWarnings(t *testing.T) {
	dir := secretDir(t)
	for _, name := range []string{"client.key", "password", "token"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text := base + `    tls: {ca_file: ca.crt, cert_file: client.crt, key_file: client.key}
    auth: {username: root, password_file: password}
  - {name: b, endpoints: [https://h:1], tls: {cert_file: client.crt, key_file: client.key}}
remediation:
  bearer_token_file: token
  policies: [{name: p, action: compact, compact: {keep: 1m}}]
`
	v := mustParse(t, dir, text, CheckRemediationSecrets())
	want := []string{
		":4: clusters[0].tls.key_file: everyone on this host can read the file (mode 0644): chmod o-r it",
		":5: clusters[0].auth.password_file: everyone on this host",
		":8: remediation.bearer_token_file: everyone on this host",
		":9: remediation.policies[0].compact.keep: below 5m",
	}
	if len(v.Warnings) != len(want) {
		t.Fatalf("%d warnings: %q", len(v.Warnings), v.Warnings)
	}
	for i, w := range want {
		if !strings.HasPrefix(v.Warnings[i], filepath.Join(dir, "etcdops.yml")+w) {
			t.Errorf("got %q, want %q", v.Warnings[i], w)
		}
	}
}

// What is printed of a configuration must not give an object store's keys away.
func TestRawIsHidden(t *testing.T) {
	v := mustParse(t, t.TempDir(), base+"    backups: [{name: o, objstore: {type: S3, config: {secret_key: swordfish}}}]\n")
	o := *v.Clusters[0].Backups[0].ObjStore
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "store", o, "config", o.Config)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "store", o, "config", o.Config)
	dump, err := yaml.Marshal(v.Clusters)
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %s %q %d %x", o, o, o, o.Config, o.Config, o.Config, o.Config) + log.String() + string(dump)
	if strings.Contains(shown, "swordfish") || strings.Contains(shown, fmt.Sprintf("%x", "swordfish")) {
		t.Errorf("the key is shown: %s", shown)
	}
	if data, err := o.Config.YAML(); err != nil || string(data) != "secret_key: swordfish\n" {
		t.Errorf("YAML() = %q, %v", data, err)
	}
}

// A Config made by hand has no lines, and is not changed by Validate.
func TestValidateByHand(t *testing.T) {
	c := &Config{Clusters: []Cluster{{Name: "a", Endpoints: []string{"HTTP://H:1/"}, Backups: []Backup{{Name: "b", Path: "/b"}}}}}
	v, err := c.Validate()
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Clusters[0]; got.Endpoints[0] != "http://h:1" || got.ProbeKey != "health" || got.Backups[0].Interval != 24*time.Hour {
		t.Errorf("got %+v", got)
	}
	if c.Clusters[0].Endpoints[0] != "HTTP://H:1/" || c.Clusters[0].Backups[0].Interval != 0 {
		t.Errorf("the Config was changed: %+v", c)
	}
	c.Clusters[0].Name = ""
	if _, err = c.Validate(); err == nil || err.Error() != "clusters[0].name: is needed: letters, digits, hyphen, underscore and dot" {
		t.Errorf("got %v", err)
	}
	if _, ok := v.Cluster("b"); ok {
		t.Error("found a cluster that is not there")
	}
	if got, ok := v.Cluster("a"); !ok || got.Name != "a" {
		t.Error("did not find the cluster")
	}
}

// Others find faults too, and point at the same lines.
func TestValidatedFault(t *testing.T) {
	v := mustParse(t, "/x", base+"remediation:\n  policies:\n    - name: p\n      action: disarm\n      matchers:\n      - a=b\n      - '{{'\n")
	got := v.Fault("remediation.policies[0].matchers[1]", "bad matcher").Error()
	if want := "/x/etcdops.yml:10: remediation.policies[0].matchers[1]: bad matcher"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestScalars(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"6h": 6 * time.Hour, "7d": 7 * 24 * time.Hour, "1w": 7 * 24 * time.Hour, "250ms": 250 * time.Millisecond, "1h30m": 90 * time.Minute, "0": 0, "1.5h": 90 * time.Minute,
		"": -1, "5": -1, "-1s": -1, "1 h": -1, "h": -1, "1y": -1, "1e3s": -1, "99999999w": -1,
	} {
		got, err := ParseDuration(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("duration %q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]Size{
		"0": 0, "1234": 1234, "100MiB": 100 << 20, "1GiB": 1 << 30, "1.5GiB": 3 << 29, "1MB": 1e6,
		"": -1, "-1": -1, "-1MiB": -1, "x": -1, "1Q": -1, "8EiB": -1, "99999999999999999999": -1,
	} {
		got, err := ParseSize(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("size %q: %v, %v", text, got, err)
		}
	}
}

// The example that users are shown must load as it stands.
func TestLoadExample(t *testing.T) {
	dir := secretDir(t)
	text, err := os.ReadFile(filepath.Join("testdata", "contract.yml"))
	if err != nil {
		t.Fatal(err)
	}
	v := mustParse(t, dir, string(text), CheckRemediationSecrets())
	if len(v.Clusters) != 1 || len(v.Clusters[0].Backups) != 2 || len(v.Remediation.Policies) != 4 {
		t.Errorf("got %+v", v)
	}
}
