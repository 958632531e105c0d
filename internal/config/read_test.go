// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// base is three lines long; cases that begin with it go on at line 4.
const base = "clusters:\n  - name: a\n    endpoints: [https://10.0.0.1:2379]\n"

// bomb gives the fields of a mapping that expand to 9^9 values.
func bomb(indent string) string {
	text := indent + "x: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		text += fmt.Sprintf("%sf%c: &%c [%s*%c]\n", indent, c, c, strings.Repeat(fmt.Sprintf("*%c,", c-1), 8), c-1)
	}
	return text
}

// What is wrong with the YAML itself.
var malformedYAML = []struct{ name, text, want string }{
	{"empty", "", "0: is empty"},
	{"comment only", "# nothing\n\n", "0: is empty"},
	{"null", "---\n", "0: is empty"},
	{"list", "\n- a\n", "2: is a list, not a mapping"},
	{"scalar", "hello\n", "1: is a single value, not a mapping"},
	{"several documents", base + "---\nclusters: []\n", "4: several YAML documents"},
	{"NUL", "clusters:\n\x00\x01\n", "2: control character 0x00"},
	{"not UTF-8", "clusters:\n- name: \xff\xfe\n", "2: byte 0xff is not UTF-8"},
	{"ELF", "\x7fELF\x02\x01", "1: control character 0x7f"},
	{"too large", strings.Repeat("# a comment\n", 400000), "0: larger than 4 MiB"},
	{"unclosed bracket", "clusters:\n  - name: a\n    endpoints: [a, b\n    discover: true\n", "3: a bracket or brace is not closed"},
	{"unclosed quote", "clusters:\n  - name: \"a\n    discover: true\n", "2: a quote is not closed"},
	{"tab", "clusters:\n  - name: a\n\tendpoints: [a]\n", "3: a tab in the indentation"},
	{"dedent", "clusters:\n  - name: a\n   endpoints: [a]\n", "3: wrong indentation"},
	{"colon in value", "clusters:\n  - name: a\n    probe_key: a: b\n", "3: a colon where no field can begin"},
	{"no colon", "clusters:\n- name: a\nfoo\nbar: x\n", "3: a field without a colon"},
	{"reserved character", "clusters:\n- name: a\n  probe_key: @x\n", "3: cannot begin with this character"},
	{"bad escape", "clusters:\n- name: \"\\q\"\n", `2: a \ escape that YAML does not know`},
	{"unknown anchor", base + "    tls: {key_file: *swordfish}\n", "4: an alias"},
	{"late error", base + strings.Repeat("    # x\n", 40) + "  }\n", "44: wrong indentation"},
	{"alias cycle", "clusters:\n- &a\n  <<: *a\n  name: a\n  endpoints: [http://h:1]\n", "3 clusters[0]: contains itself"},
	{"alias bomb", "remediation:\n  windows:\n    -\n" + bomb("      "), "4 remediation.windows[0]: values once aliases are followed"},
	{"YAML tag", base + "    probe_key: !!binary aGk=\n", "4 clusters[0].probe_key: the YAML tag"},
	{"custom tag", base + "    tls: !secret {}\n", "4 clusters[0].tls: the YAML tag"},
	{"key is no text", base + "? [a]\n: b\n", "4: must be text, not a list"},
	{"null key", base + "    ~: b\n", "4 clusters[0]: must be text, not nothing"},
	{"merge of a list", "x: &x [a]\n" + base + "    <<: *x\n", "1 x: unknown field\n1 clusters[0]: << must be followed"},
}

// Fields that do not exist, are given twice, or have the wrong shape.
var malformedFields = []struct{ name, text, want string }{
	{"duplicate key", base + "    name: b\n", "4 clusters[0].name: is given twice, first on line 2"},
	{"duplicate key, top", base + "clusters: []\n", "4 clusters: is given twice, first on line 1"},
	{"duplicate key in objstore", base + "    backups:\n      - name: o\n        objstore: {type: S3, config: {a: swordfish, a: hunter2}}\n", "6 clusters[0].backups[0].objstore.config.a: given twice"},
	{"duplicate map key", base + "    discover: true\n    data_dirs: {https://x:1: /a, https://x:1: /b}\n", `5 clusters[0].data_dirs["https://x:1"]: given twice, first on line 5`},
	{"unknown field", "cluster:\n" + base[10:], "1 cluster: did you mean clusters?"},
	{"unknown nested", base + "    tls: {cafile: ca.crt}\n", "4 clusters[0].tls.cafile: did you mean ca_file?"},
	{"unknown, dashes", base + "    probe-key: x\n", "4 clusters[0].probe-key: did you mean probe_key?"},
	{"unknown, misplaced", base + "    ca_file: ca.crt\n", "4 clusters[0].ca_file: did you mean tls.ca_file?"},
	{"unknown, far", base + "    tls: {zzz: 1}\n", "4 clusters[0].tls.zzz: known here: ca_file, cert_file"},
	{"unknown, hostile", base + "    \"\\e[31m\\n\\tx\": 1\n", `4 clusters[0]["\x1b[31m\n\tx"]: known here: name`},
	{"unknown, password", base + "    auth: {username: u, password: hunter2}\n", "4 clusters[0].auth.password: did you mean password_file?"},
	{"misspelt is not missing", "clusters:\n- name: a\n  endpoint: [http://h:1]\n", "3 clusters[0].endpoint: did you mean endpoints?"},
	{"misspelt beside the right one", base + "    tls: {ca_file: no.crt, cafile: x}\n", "4 clusters[0].tls.cafile: did you mean ca_file?\n4 clusters[0].tls.ca_file: cannot read"},
	{"every unknown one", "x: 1\ny: 2\n" + base, "1 x: unknown field\n2 y: unknown field"},

	{"clusters is text", "clusters: a\n", "1 clusters: must be a list, not a single value"},
	{"clusters is a mapping", "clusters: {name: a}\n", "1 clusters: must be a list, not a mapping"},
	{"cluster is text", "clusters:\n- a\n", "2 clusters[0]: must be a mapping (fields with values), not a single value"},
	{"cluster is null", base + "  -\n", "4 clusters[1]: is empty"},
	{"endpoints is text", "clusters:\n- name: a\n  endpoints: http://h:1\n", "3 clusters[0].endpoints: must be a list, not a single value"},
	{"endpoint is a list", "clusters:\n- name: a\n  endpoints:\n  - http://h:1\n  - [b]\n", "5 clusters[0].endpoints[1]: must be text, not a list"},
	{"null endpoint", "clusters:\n- name: a\n  endpoints:\n  - http://h:1\n  -\n", "5 clusters[0].endpoints[1]: is empty"},
	{"tls is text", base + "    tls: swordfish\n", "4 clusters[0].tls: must be a mapping (fields with values), not a single value"},
	{"bool is text", base + "    discover: \"yes\"\n", `4 clusters[0].discover: must be true or false, not "yes"`},
	{"bool is a list", base + "    discover: []\n", "4 clusters[0].discover: must be true or false, not a list"},
	{"number is text", base + "    keyspaces: [{prefix: /x/, max_groups: many}]\n", `4 clusters[0].keyspaces[0].max_groups: must be a whole number, not "many"`},
	{"number is a fraction", base + "    keyspaces: [{prefix: /x/, max_groups: 1.5}]\n", "4 clusters[0].keyspaces[0].max_groups: must be a whole number"},
	{"number is huge", base + "    keyspaces: [{prefix: /x/, max_groups: 99999999999999999999}]\n", "4 clusters[0].keyspaces[0].max_groups: must be a whole number"},
	{"bad duration", base + "    keyspaces:\n      - prefix: /x/\n        interval: 6 hours\n", `6 clusters[0].keyspaces[0].interval: "6 hours" is no duration`},
	{"bare duration", base + "    keyspaces: [{prefix: /x/, interval: 30}]\n", `4 clusters[0].keyspaces[0].interval: "30" has no unit`},
	{"negative duration", base + "    keyspaces: [{prefix: /x/, interval: -5m}]\n", `4 clusters[0].keyspaces[0].interval: "-5m" is negative`},
	{"zero duration", base + "    keyspaces: [{prefix: /x/, interval: 0s}]\n", "4 clusters[0].keyspaces[0].interval: must be above zero, such as 1m"},
	{"duration is a list", base + "    keyspaces: [{prefix: /x/, interval: [1m]}]\n", "4 clusters[0].keyspaces[0].interval: must be a duration, such as 30s, not a list"},
	{"bad size", base + "    backups: [{name: b, path: /b, max_bytes_per_second: lots}]\n", `4 clusters[0].backups[0].max_bytes_per_second: "lots" is no size`},
	{"negative size", base + "    backups: [{name: b, path: /b, max_bytes_per_second: -1}]\n", `4 clusters[0].backups[0].max_bytes_per_second: "-1" is negative`},
	{"overflowing size", base + "    backups: [{name: b, path: /b, max_bytes_per_second: 8EiB}]\n", "4 clusters[0].backups[0].max_bytes_per_second: is no size"},
	{"bad network", base + "    allow_cidrs: [10.0.0.1, ten]\n", `4 clusters[0].allow_cidrs[0]: "10.0.0.1" has no length: write 10.0.0.1/32` + "\n" + `4 clusters[0].allow_cidrs[1]: "ten" is no network`},
	{"long value is cut", base + "    keyspaces: [{prefix: /x/, interval: " + strings.Repeat("9", 5000) + "q}]\n", `4 clusters[0].keyspaces[0].interval: 9..." is no duration`},
}

func TestParseMalformed(t *testing.T) {
	for _, test := range append(malformedYAML, malformedFields...) {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("etcdops.yml", []byte(test.text))
			wantFaults(t, err, test.want)
		})
	}
}

// A file full of faults must not fill the screen, and must say that it goes on.
func TestParseManyFaults(t *testing.T) {
	text := base
	for i := range 80 {
		text += strings.Repeat("q", i+1) + ": 1\n"
	}
	_, err := Parse("etcdops.yml", []byte(text))
	faults := checkFaults(t, err)
	if len(faults) != maxFaults+1 {
		t.Errorf("%d faults, want %d and a last line", len(faults), maxFaults)
	}
	if last := faults[len(faults)-1].Error(); last != "etcdops.yml: and 30 more: mend these first" {
		t.Errorf("last line %q", last)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	closed := write(t, dir, "closed.yml", base, 0)
	for _, test := range []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "missing.yml"), "0: cannot read the configuration: no such file or directory"},
		{"directory", dir, "0: it is a directory, not a file"},
		{"device", os.DevNull, "0: it is not a regular file"},
		{"too large", write(t, dir, "large.yml", strings.Repeat("#", maxConfigBytes+1), 0o600), "0: it is larger than 4 MiB"},
		{"no permission", closed, "0: cannot read the configuration: permission denied"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.path == closed && os.Geteuid() == 0 {
				t.Skip("root may read every file")
			}
			_, err := Load(test.path)
			wantFaults(t, err, test.want)
			if !strings.HasPrefix(err.Error(), test.path+": ") {
				t.Errorf("the file is not named: %v", err)
			}
		})
	}
}

func TestFaultStyle(t *testing.T) {
	dir := t.TempDir()
	_, err := Parse(filepath.Join(dir, "etcdops.yml"), []byte(base+"    tls:\n      ca_file: ca.crt\n"))
	want := filepath.Join(dir, "etcdops.yml") + `:5: clusters[0].tls.ca_file: cannot read "ca.crt": no such file or directory (looked in `
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Editors on other systems write a byte order mark and carriage returns.
func TestParseForeignEditors(t *testing.T) {
	mustParse(t, t.TempDir(), "\ufeff"+strings.ReplaceAll(base, "\n", "\r\n"))
	_, err := Parse("etcdops.yml", []byte(strings.ReplaceAll(base+"    x: 1\n", "\n", "\r\n")))
	wantFaults(t, err, "4 clusters[0].x: unknown field")
}
