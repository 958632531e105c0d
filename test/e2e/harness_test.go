// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/etcdops/etcdops/test/lab"
)

// TestHarness is the shortest way through everything: one member, one scrape.
func TestHarness(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Options{Members: 1})
	e := exportLab(t, l)
	s := e.Scrape("/metrics")
	url := l.Endpoints()[0]
	check(t, s.Up(url), s.Want(1, "endpoint_is_leader", "url", url), s.WantNone("endpoint_failure"))
	if s.Up("http://127.0.0.1:1") == nil || s.Down(url, "refused") == nil || s.Want(0, "endpoint_up", "url", url) == nil {
		t.Error("the harness finds what is not there")
	}
}
