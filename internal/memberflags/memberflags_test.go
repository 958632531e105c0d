// SPDX-License-Identifier: Apache-2.0

package memberflags

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, line string
		want       string
	}{
		{"nothing", "", "map[]"},
		{"the program alone", "etcd", "map[]"},
		{"one word each", "/usr/bin/etcd --name=a --quota-backend-bytes=8589934592 --snapshot-count=10000", "map[quota-backend-bytes:8589934592 snapshot-count:10000]"},
		{"two words each", "etcd --name a --quota-backend-bytes 8589934592 --data-dir /var/lib/etcd --heartbeat-interval 100", "map[heartbeat-interval:100 quota-backend-bytes:8589934592]"},
		{"one dash", "etcd -election-timeout=1000 -heartbeat-interval 100", "map[election-timeout:1000 heartbeat-interval:100]"},
		{"no program, as in a container's args", "--election-timeout=1000", "map[election-timeout:1000]"},
		{"the last one wins", "etcd --snapshot-count=1 --snapshot-count=2", "map[snapshot-count:2]"},
		{"a bare boolean", "etcd --client-cert-auth --name=a", "map[client-cert-auth:true]"},
		{"a boolean in other words", "etcd --client-cert-auth=F", "map[client-cert-auth:false]"},
		{"a bare boolean at the end", "etcd --name a --client-cert-auth", "map[client-cert-auth:true]"},
		{"other booleans", "etcd --peer-client-cert-auth --auto-tls --snapshot-count=7 --enable-pprof", "map[snapshot-count:7]"},
		{"the state", "etcd --initial-cluster-state=existing", "map[initial-cluster-state:existing]"},
		{"a state that is none", "etcd --initial-cluster-state=/secret", "map[]"},
		{"hex, as Go's flags take it", "etcd --quota-backend-bytes=0x10", "map[quota-backend-bytes:16]"},
		{"the default quota, written out", "etcd --quota-backend-bytes=0", "map[quota-backend-bytes:2147483648]"},
		{"no quota", "etcd --quota-backend-bytes -5", "map[quota-backend-bytes:-1]"},
		{"what etcd would not take", "etcd --quota-backend-bytes=8Gi --heartbeat-interval=100ms --snapshot-count=-1 --client-cert-auth=yes", "map[]"},
		{"a variable of the container's", "etcd --quota-backend-bytes=$(QUOTA)", "map[]"},
		{"a configuration file", "etcd --config-file=/etc/etcd.yml --snapshot-count=5", "map[]"},
		{"a configuration file, two words", "etcd --snapshot-count=5 --config-file /etc/etcd.yml", "map[]"},
		{"an empty one is none", "etcd --snapshot-count=5 --config-file=", "map[snapshot-count:5]"},
		{"a proxy", "etcd grpc-proxy start --snapshot-count=5", "map[]"},
		{"a program that embeds etcd", "k3s server --snapshot-count=5", "map[]"},
		{"words after the flags", "etcd --snapshot-count=5 -- x", "map[]"},
		{"a shell", "/bin/sh -c exec_etcd_--snapshot-count=5", "map[]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := fmt.Sprint(Settings(strings.Fields(test.line))); got != test.want {
				t.Errorf("%q tells %s, want %s", test.line, got, test.want)
			}
		})
	}
}

// Equal retentions compare equal, and no guess is made of what a number means.
func TestRetention(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ mode, text, want string }{
		{"periodic", "5m", "5m0s"},
		{"periodic", "5m0s", "5m0s"},
		{"periodic", "300s", "5m0s"},
		{"periodic", "5", "5h0m0s"},
		{"periodic", "5h", "5h0m0s"},
		{"periodic", "0", "0"},
		{"periodic", "0h", "0"},
		{"periodic", "9223372036854775807", ""},
		{"revision", "1000", "1000"},
		{"revision", "01000", "1000"},
		{"revision", "1us", "1000"},
		{"", "5", ""},
		{"", "5h", "5h0m0s"},
		{"", "0", "0"},
		{"", "-1", ""},
		{"", "x", ""},
		{"secret", "5", ""},
	} {
		words := []string{"etcd", "--auto-compaction-retention=" + test.text}
		if test.mode != "" {
			words = append(words, "--auto-compaction-mode", test.mode)
		}
		if got := Settings(words)[retention]; got != test.want {
			t.Errorf("%q in mode %q is %q, want %q", test.text, test.mode, got, test.want)
		}
	}
}

func TestParseRest(t *testing.T) {
	t.Parallel()
	flags, rest := Parse(strings.Fields("etcd --name a -x - --flag --other=1 --"))
	if want := map[string]string{"name": "a", "x": "", "flag": "", "other": "1"}; !maps.Equal(flags, want) {
		t.Errorf("flags %v, want %v", flags, want)
	}
	if strings.Join(rest, " ") != "etcd - --" {
		t.Errorf("rest %q", rest)
	}
}

// FuzzSettings: whatever the words are, what comes out is of the list and is nothing but
// digits, a duration or one of the known words.
func FuzzSettings(f *testing.F) {
	f.Add("etcd\x00--quota-backend-bytes\x00--name=secret")
	f.Add("etcd\x00--auto-compaction-mode=periodic\x00--auto-compaction-retention=5m")
	f.Fuzz(func(t *testing.T, line string) {
		for name, value := range Settings(strings.Split(line, "\x00")) {
			_, listed := forms()[name]
			if !listed && name != retention {
				t.Errorf("%q is told", name)
			}
			words := []string{"periodic", "revision", "new", "existing", "true", "false"}
			if strings.Trim(value, "-0123456789.hmsµn") != "" && !slices.Contains(words, value) {
				t.Errorf("%s has the value %q", name, value)
			}
		}
	})
}
