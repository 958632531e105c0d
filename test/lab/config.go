// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"strings"

	"github.com/etcdops/etcdops/test/pki"
)

// WriteConfig writes etcdops.yml, a configuration with this lab as its one
// cluster, into the lab's directory and returns its file name. A user, where
// one is given, is whom the programs sign in as.
func (l *Lab) WriteConfig(user *User) (string, error) {
	var text strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&text, format+"\n", args...) }
	line("# The lab's cluster. Written by etcd_lab; gone when the lab ends.")
	line("clusters:")
	line("  - name: lab")
	line("    endpoints:")
	for _, url := range l.Endpoints() {
		line("      - %s", url)
	}
	if l.options.TLS != Plain {
		line("    tls:")
		line("      ca_file: %q", l.CAFile())
	}
	if l.options.TLS == MTLS {
		line("      cert_file: %q", l.ClientCert())
		line("      key_file: %q", l.ClientKey())
	}
	if user != nil {
		password := l.path("pki", user.Name+".password")
		if err := pki.WriteFile(password, []byte(user.Password+"\n"), 0o600); err != nil {
			return "", fmt.Errorf("write configuration: %w", err)
		}
		line("    auth:")
		line("      username: %q", user.Name)
		line("      password_file: %q", password)
		line("    probe_key: %q", user.Prefix+"health")
	}
	l.writeMemberMaps(line)
	name := l.path("etcdops.yml")
	return name, pki.WriteFile(name, []byte(text.String()), 0o600)
}

// writeMemberMaps names what is not on a member's client port.
func (l *Lab) writeMemberMaps(line func(string, ...any)) {
	titled := false
	for _, m := range l.Members() {
		if m.HTTPURL() == m.ClientURL() {
			continue
		}
		if !titled {
			line("    metrics_urls:")
			titled = true
		}
		line("      %q: %q", m.ClientURL(), m.HTTPURL())
	}
	line("    data_dirs:")
	for _, m := range l.Members() {
		line("      %q: %q", m.ClientURL(), m.DataDir())
	}
}
