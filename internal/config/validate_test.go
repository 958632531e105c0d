// SPDX-License-Identifier: Apache-2.0

package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// What clusters may not say; lines that do not begin at column 1 follow base.
func TestValidateCluster(t *testing.T) {
	dir := secretDir(t)
	for _, test := range []struct{ name, text, want string }{
		{"no cluster", "clusters: []\n", "1 clusters: at least one cluster"},
		{"no name", "clusters:\n- endpoints: [http://h:1]\n", "2 clusters[0].name: is needed"},
		{"name with space", "clusters:\n- name: a b\n  endpoints: [http://h:1]\n", `2 clusters[0].name: "a b" holds more than letters`},
		{"name with control", "clusters:\n- name: \"a\\n\"\n  endpoints: [http://h:1]\n", `2 clusters[0].name: "a\n" holds more`},
		{"long name", "clusters:\n- name: " + strings.Repeat("a", 129) + "\n  endpoints: [http://h:1]\n", "2 clusters[0].name: longer than 128"},
		{"name twice", base + "  - name: b\n    endpoints: [http://h:1]\n  - endpoints: [http://h:1]\n    name: a\n", `7 clusters[2].name: "a" is given twice, first on line 2`},
		{"no endpoints", "clusters:\n- name: a\n", "2 clusters[0].endpoints: at least one client URL"},
		{"empty endpoints", "clusters:\n- name: a\n  endpoints: []\n", "3 clusters[0].endpoints: at least one client URL"},
		{"tls, all http", "clusters:\n- name: a\n  endpoints: [http://h:1]\n  tls: {ca_file: ca.crt, server_name: x}\n", "4 clusters[0].tls.ca_file: every endpoint is http\n4 clusters[0].tls.server_name: every endpoint is http"},
		{"server name", "    tls: {server_name: 'a b'}\n", `4 clusters[0].tls.server_name: "a b" is neither`},
		{"cert alone", "    tls: {cert_file: client.crt}\n", "4 clusters[0].tls.cert_file: needs key_file"},
		{"key alone", "    tls: {key_file: client.key}\n", "4 clusters[0].tls.key_file: needs cert_file"},
		{"missing files", "    tls:\n      ca_file: no.crt\n      cert_file: no.crt\n      key_file: no.key\n", "5 clusters[0].tls.ca_file: cannot read \"no.crt\": no such file\n6 clusters[0].tls.cert_file: cannot read \"no.crt\": no such file\n7 clusters[0].tls.key_file: cannot read the file it names: no such file"},
		{"CA is a directory", "    tls: {ca_file: .}\n", "4 clusters[0].tls.ca_file: it is a directory"},
		{"CA is a device", "    tls: {ca_file: /dev/zero}\n", "4 clusters[0].tls.ca_file: not a regular file"},
		{"CA is garbage", "    tls: {ca_file: garbage}\n", "4 clusters[0].tls.ca_file: holds no PEM certificate"},
		{"CA is a key", "    tls: {ca_file: ca.key}\n", "4 clusters[0].tls.ca_file: holds no PEM certificate"},
		{"cert is garbage", "    tls: {cert_file: garbage, key_file: client.key}\n", "4 clusters[0].tls.cert_file: holds no PEM certificate"},
		{"key is garbage", "    tls: {cert_file: client.crt, key_file: garbage}\n", "4 clusters[0].tls.key_file: holds no PEM private key"},
		{"wrong key", "    tls: {cert_file: client.crt, key_file: ca.key}\n", "4 clusters[0].tls.key_file: does not belong to the certificate of cert_file"},
		{"key pasted", "    tls:\n      cert_file: client.crt\n      key_file: |\n        -----BEGIN PRIVATE KEY-----\n        swordfish\n", "6 clusters[0].tls.key_file: must name a file, not hold its content"},
		{"user alone", "    auth: {username: root}\n", "4 clusters[0].auth.username: needs password_file"},
		{"password alone", "    auth: {password_file: password}\n", "4 clusters[0].auth.password_file: needs username"},
		{"password pasted", "    auth: {username: root, password_file: hunter2}\n", "4 clusters[0].auth.password_file: cannot read the file it names"},
		{"empty password", "    auth: {username: root, password_file: empty}\n", "4 clusters[0].auth.password_file: is empty"},
		{"unverified password", "    tls: {insecure_skip_verify: true}\n    auth: {username: root, password_file: password}\n", "4 clusters[0].tls.insecure_skip_verify: a password goes only over verified TLS"},
		{"empty probe key", "    probe_key: \"\"\n", "4 clusters[0].probe_key: must not be empty"},
		{"metrics of a stranger", "    metrics_urls: {https://10.0.0.9:2379: http://10.0.0.9:2381}\n", `4 clusters[0].metrics_urls["https://10.0.0.9:2379"]: not among the endpoints`},
		{"metrics at no URL", "    metrics_urls: {https://10.0.0.1:2379: h:1}\n", `4 clusters[0].metrics_urls["https://10.0.0.1:2379"]: has no scheme`},
		{"metrics twice", "    metrics_urls: {https://10.0.0.1:2379: http://h:1, https://10.0.0.1:2379/: http://h:2}\n", `4 clusters[0].metrics_urls["https://10.0.0.1:2379/"]: is given twice`},
		{"data dir is a file", "    data_dirs: {https://10.0.0.1:2379: ca.crt}\n", `4 clusters[0].data_dirs["https://10.0.0.1:2379"]: "ca.crt" is a file, not a directory`},
		{"data dir is empty", "    data_dirs: {https://10.0.0.1:2379: \"\"}\n", `4 clusters[0].data_dirs["https://10.0.0.1:2379"]: is empty`},
		{"keyspaces", "    keyspaces:\n      - {prefix: /a/}\n      - {prefix: \"\"}\n      - {prefix: /a/, max_groups: 0}\n      - {prefix: /b/, sample_exclude: [\"\"]}\n", "6 clusters[0].keyspaces[1].prefix: is needed\n7 clusters[0].keyspaces[2].prefix: given twice, first on line 5\n7 clusters[0].keyspaces[2].max_groups: must be 1 or more, not 0\n8 clusters[0].keyspaces[3].sample_exclude[0]: is empty"},
		{"store without place", "    backups: [{name: b}]\n", "4 clusters[0].backups[0].path: path or objstore is needed"},
		{"store in two places", "    backups: [{name: b, path: /b, objstore: {type: S3, config: {k: swordfish}}}]\n", "4 clusters[0].backups[0].objstore: path is given as well"},
		{"store names", "    backups:\n      - {path: /b}\n      - {name: b, path: /b}\n      - {name: b, path: /c}\n", "5 clusters[0].backups[0].name: is needed\n7 clusters[0].backups[2].name: given twice, first on line 6"},
		{"patterns", "    backups:\n      - {name: a, path: /b, pattern: '[a'}\n      - {name: b, path: /b, pattern: x/*}\n      - {name: c, path: '/b/[a'}\n      - {name: d, path: /b, pattern: ''}\n", "5 clusters[0].backups[0].pattern: no valid pattern\n6 clusters[0].backups[1].pattern: holds a slash\n7 clusters[0].backups[2].path: no valid pattern\n8 clusters[0].backups[3].pattern: must not be empty"},
		{"backup times", "    backups: [{name: a, path: /b, interval: 0s, check_interval: 0s, time_from_name: snapshot}]\n", "4 clusters[0].backups[0].interval: above zero, such as 24h\n4 clusters[0].backups[0].check_interval: above zero, such as 30s\n4 clusters[0].backups[0].time_from_name: no Go time layout"},
		{"object stores", "    backups:\n      - {name: a, objstore: {}}\n      - {name: b, objstore: {type: 'S 3', config: {}}}\n      - {name: c, objstore: {type: S3}}\n      - {name: d, objstore: {type: S3, config: swordfish}}\n      - {name: e, objstore: {type: S3, config_file: store.yml}}\n      - {name: f, objstore: {config_file: none}}\n      - {name: g, objstore: {config_file: garbage}}\n      - {name: h, objstore: {config_file: broken.yml}}\n", "5 clusters[0].backups[0].objstore.type: is needed\n6 clusters[0].backups[1].objstore.type: no type of store\n7 clusters[0].backups[2].objstore.config: is needed\n8 clusters[0].backups[3].objstore.config: must be a mapping\n9 clusters[0].backups[4].objstore.config_file: remove them here\n10 clusters[0].backups[5].objstore.config_file: cannot read\n11 clusters[0].backups[6].objstore.config_file: holds no type\n12 clusters[0].backups[7].objstore.config_file: not valid YAML"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := test.text
			if strings.HasPrefix(text, " ") {
				text = base + text
			}
			_, err := Parse(filepath.Join(dir, "etcdops.yml"), []byte(text))
			wantFaults(t, err, test.want)
		})
	}
}

func TestClientURL(t *testing.T) {
	for _, test := range []struct{ raw, want, fault string }{
		{"http://h:2379", "http://h:2379", ""},
		{"HTTPS://ETCD-0.Example.ORG:02379/", "https://etcd-0.example.org:2379", ""},
		{"https://[FD00:0::1]:2379", "https://[fd00::1]:2379", ""},
		{"https://etcd_1.svc.:2379", "https://etcd_1.svc.:2379", ""},
		{"", "", "is empty"},
		{"10.0.0.1:2379", "", "has no scheme: write http:// or https://"},
		{"h", "", "has no scheme"},
		{"unix://h:1", "", "must begin with http:// or https://"},
		{"http://", "", "no host"},
		{"http://:2379", "", "no host"},
		{"http://h", "", "has no port"},
		{"http://h:", "", "no port after the colon"},
		{"http://h:0", "", "port outside"},
		{"http://h:65536", "", "port outside"},
		{"http://h:http", "", "no valid URL"},
		{"http://h:2379/v3", "", "has a path"},
		{"http://h:2379?x", "", "query or fragment"},
		{"http://h:2379#", "", "query or fragment"},
		{"http://root:hunter2@h:2379", "", "must not hold a user or password"},
		{"root:hunter2@h:2379", "", "keep passwords in files"},
		{"http://h:1/@hunter2", "", "the URL has a path"},
		{"http://a:1,http://b:1", "", "holds a comma"},
		{"http://a b:1", "", "no valid URL"},
		{"http://a\n:1", "", "no valid URL"},
		{`http://h:1\x`, "", "no valid URL"},
		{"http://é:1", "", "neither a name nor an address"},
		{"http://<b>:1", "", "neither a name nor an address"},
		{"http://[::1:2379", "", "no valid URL"},
		{"http://2001:db8::1", "", "no valid URL"},
	} {
		got, err := clientURL(test.raw)
		switch {
		case got != test.want || (err == nil) != (test.fault == ""):
			t.Errorf("%q: got %q, %v, want %q", test.raw, got, err, test.want)
		case err != nil && !strings.Contains(err.Error(), test.fault):
			t.Errorf("%q: got %v, want %s", test.raw, err, test.fault)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%q: the password is shown: %v", test.raw, err)
		}
	}
}

// remediated is 7 lines long; a policy's fields follow at line 8.
const remediated = `clusters:
  - {name: a, endpoints: [http://h:1], backups: [{name: local, path: /b}, {name: some, path: '/b/*.db'}, {name: far, objstore: {type: S3, config: {}}}]}
  - {name: b, endpoints: [http://h:2]}
remediation:
  policies:
  - name: p
    clusters: [a]
`

func TestValidatePolicy(t *testing.T) {
	const p = "remediation.policies[0]"
	for _, test := range []struct{ name, text, want string }{
		{"no action", "    mode: plan\n", "6 " + p + ".action: is needed: write defrag, compact"},
		{"action", "    action: reboot\n", "8 " + p + `.action: "reboot" is no action`},
		{"mode", "    action: defrag\n    mode: yolo\n", "9 " + p + `.mode: "yolo" is no mode`},
		{"name twice", "    action: disarm\n  - {name: p, action: disarm}\n", "9 remediation.policies[1].name: given twice, first on line 6"},
		{"no name", "    action: disarm\n  - {action: disarm}\n", "9 remediation.policies[1].name: is needed"},
		{"unknown cluster", "    action: disarm\n  - {name: q, action: disarm, clusters: [a, c, a]}\n", `9 remediation.policies[1].clusters[1]: no cluster is called "c"` + "\n9 remediation.policies[1].clusters[2]: given twice"},
		{"matchers", "    action: disarm\n    matchers: alertname=x\n", "9 " + p + ".matchers: must be a list"},
		{"empty matcher", "    action: disarm\n    matchers: ['']\n", "9 " + p + ".matchers[0]: is empty: write a matcher"},
		{"bounds", "    action: disarm\n    max_runs_per_day: 0\n    max_duration: 0\n    stable_for: 0s\n    cooldown: 0s\n", "9 " + p + ".max_runs_per_day: 1 or more\n10 " + p + ".max_duration: above zero, such as 1h\n11 " + p + ".stable_for: above zero, such as 10m"},
		{"known issues", "    action: defrag\n    accept_known_issues: ['#14685', 14685]\n", "9 " + p + ".accept_known_issues[0]: no issue number"},
		{"queries without Prometheus", "    action: defrag\n    require_queries: [up]\n", "9 " + p + ".require_queries: needs remediation.prometheus.url"},
		{"block of another action", "    action: defrag\n    compact: {keep: 10m}\n    snapshot: {store: local}\n", "9 " + p + ".compact: does not fit the action defrag\n10 " + p + ".snapshot: does not fit"},
		{"defrag", "    action: defrag\n    defrag: {min_reclaimable: x, min_fragmentation: 1.5, max_pause: 0s, settle: 0s}\n", "9 " + p + `.defrag.min_reclaimable: "x" is no size` + "\n9 " + p + ".defrag.min_fragmentation: between 0 and 1\n9 " + p + ".defrag.max_pause: above zero"},
		{"fraction is no number", "    action: defrag\n    defrag: {min_fragmentation: .nan}\n", "9 " + p + ".defrag.min_fragmentation: must be a number"},
		{"compact to the head", "    action: compact\n    compact: {keep: 0s}\n", "9 " + p + ".compact.keep: above zero, such as 10m"},
		{"prune without block", "    action: prune_events\n    require_snapshot: off\n", "6 " + p + ".prune_events: is needed"},
		{"prune without snapshot rule", "    action: prune_events\n    prune_events: {prefix: /registry/events/}\n", "6 " + p + ".require_snapshot: is needed, because events are deleted"},
		{"recover with prune, no snapshot rule", "    action: recover_space\n    prune_events: {prefix: /registry/events/}\n", "6 " + p + ".require_snapshot: is needed"},
		{"recover without prune", "    action: recover_space\n", ""},
		{"snapshot rule", "    action: recover_space\n    require_snapshot: never\n", "9 " + p + `.require_snapshot: "never" is neither an age`},
		{"snapshot rule zero", "    action: recover_space\n    require_snapshot: 0s\n", "9 " + p + ".require_snapshot: neither"},
		{"snapshot rule without backups", "    action: disarm\n  - {name: q, clusters: [b], action: recover_space, require_snapshot: 1d}\n", "9 remediation.policies[1].require_snapshot: cluster b has no backups"},
		{"prune bounds", "    action: prune_events\n    require_snapshot: 24h\n    prune_events: {prefix: /registry/pods/, older_than: 0s, max_keys: 0, keys_per_second: -1}\n", "10 " + p + ".prune_events.prefix: must end in /events/\n10 " + p + ".prune_events.older_than: above zero\n10 " + p + ".prune_events.max_keys: 1 or more\n10 " + p + ".prune_events.keys_per_second: 1 or more"},
		{"snapshot without block", "    action: snapshot\n", "6 " + p + ".snapshot: is needed"},
		{"snapshot without store", "    action: snapshot\n    snapshot: {keep: 0}\n", "9 " + p + ".snapshot.keep: 1 or more\n9 " + p + ".snapshot.store: is needed"},
		{"snapshot to a glob", "    action: snapshot\n    snapshot: {store: some}\n", `9 ` + p + `.snapshot.store: the store "some" of cluster a is no directory`},
		{"snapshot to an object store", "    action: snapshot\n    snapshot: {store: far}\n", `9 ` + p + `.snapshot.store: is no directory`},
		{"snapshot to nowhere", "    action: snapshot\n    snapshot: {store: x}\n", `9 ` + p + `.snapshot.store: has no backup store called "x"`},
		{"snapshot needs a snapshot", "    action: snapshot\n    snapshot: {store: local}\n    require_snapshot: 1d\n", "10 " + p + ".require_snapshot: does not fit"},
		{"unknown", "    action: defrag\n    defrag: {min_reclaimeable: 1}\n", "9 " + p + ".defrag.min_reclaimeable: did you mean min_reclaimable?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("etcdops.yml", []byte(remediated+test.text))
			wantFaults(t, err, test.want)
		})
	}
}

func TestValidateRemediation(t *testing.T) {
	dir := secretDir(t)
	for _, test := range []struct{ name, text, want string }{
		{"empty", "{}\n", ""},
		{"journal", "{journal: ''}\n", "4 remediation.journal: must not be empty"},
		{"journal is a file", "{journal: ca.crt}\n", `4 remediation.journal: "ca.crt" is a file`},
		{"label", "{alert_cluster_label: a-b}\n", `4 remediation.alert_cluster_label: "a-b" is no label name`},
		{"tokens", "\n  bearer_token_file: short\n  admin_token_file: none\n", "5 remediation.bearer_token_file: less than 16 bytes\n6 remediation.admin_token_file: cannot read the file"},
		{"one token", "{bearer_token_file: token, admin_token_file: ./token}\n", "4 remediation.admin_token_file: must hold another token"},
		{"two tokens", "{bearer_token_file: token, admin_token_file: token2}\n", ""},
		{"token pasted", "{bearer_token_file: \"swordfish\\n\"}\n", "4 remediation.bearer_token_file: must name a file"},
		{"election", "{election: {enabled: true, prefix: /registry/x}}\n", "4 remediation.election.prefix: within Kubernetes' own keys"},
		{"election without a slash", "{election: {enabled: true, prefix: /etcdops}}\n", "4 remediation.election.prefix: end in a slash"},
		{"election of everything", "{election: {prefix: /}}\n", "4 remediation.election.prefix: name something"},
		{"max_concurrent_clusters", "{max_concurrent_clusters: 0}\n", "4 remediation.max_concurrent_clusters: 1 or more"},
		{"windows", "\n  windows:\n    - times: [{start_time: 01:00, end_time: 05:00}]\n    - monday\n", "7 remediation.windows[1]: must be a mapping"},
		{"URLs", "{prometheus: {url: 'prom:9090'}, notify: {alertmanager: 'ftp://x', grafana: {url: 'http://u:hunter2@g', token_file: token}}}\n", "4 remediation.prometheus.url: no scheme\n4 remediation.notify.alertmanager: must begin with http\n4 remediation.notify.grafana.url: must not hold a user or password"},
		{"grafana", "{notify: {grafana: {url: 'http://g/grafana/'}}}\n", "4 remediation.notify.grafana.url: needs token_file"},
		{"grafana token", "{notify: {grafana: {token_file: empty}}}\n", "4 remediation.notify.grafana.token_file: needs url\n4 remediation.notify.grafana.token_file: is empty"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse(filepath.Join(dir, "etcdops.yml"), []byte(base+"remediation: "+test.text), CheckRemediationSecrets())
			wantFaults(t, err, test.want)
		})
	}
	text := base + "remediation: {bearer_token_file: none, admin_token_file: nor this, notify: {grafana: {url: 'http://g', token_file: gone}}}\n"
	v := mustParse(t, dir, text) // the exporter's host holds none of these
	if got, want := v.Remediation.BearerTokenFile, filepath.Join(dir, "none"); got != want {
		t.Errorf("bearer_token_file %q, want %q", got, want)
	}
}

func TestPrunePrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"/registry/events/": true, "/registry/events/default/": true, "/events/": true, "/a/b/registry/events/": true,
		"/registry/events/events/": true, "/registry/events/kube-system/": true,
		"": false, "/": false, "//": false, "events/": false, "/registry/": false, "/registry/pods/": false, "/registry/events": false,
		"/registry/eventsfoo/": false, "/registry/xevents/": false, "/registry/events//": false, "/registry/events/a/b/": false,
		"/registry/events/A/": false, "/registry/events/-a/": false, "/registry/events/a b/": false, "//events/": false,
		"/registry/pods/events/": false, "/registry/secrets/events/": false, "/registry/services/specs/events/": false,
	} {
		if err := checkPrunePrefix(prefix); (err == nil) != ok {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}
