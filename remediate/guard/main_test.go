// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"os"
	"testing"

	"github.com/etcdops/etcdops/internal/snapshot"
)

// A snapshot is walked in a child of the same program: this one.
func TestMain(m *testing.M) {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}
