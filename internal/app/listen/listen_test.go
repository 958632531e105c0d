// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"strings"
	"testing"

	"github.com/prometheus/exporter-toolkit/web"
)

// TestAddresses: what cannot be listened on is told before anything is started.
func TestAddresses(t *testing.T) {
	none := ""
	for address, want := range map[string]string{
		":0": "", "127.0.0.1:10380": "", "[::1]:http": "", "localhost:65535": "", "vsock://:9": "",
		"127.0.0.1": "missing port", "::1": "write host:port", "127.0.0.1:65536": "names no port", ":nowhere": "names no port", "a:-1": "names no port",
	} {
		err := Check(&web.FlagConfig{WebListenAddresses: &[]string{address}, WebConfigFile: &none})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}
