// SPDX-License-Identifier: Apache-2.0

package action

import (
	"os"
	"testing"

	"github.com/etcdops/etcdops/internal/snapshot"
)

func TestMain(m *testing.M) {
	if child, exit := snapshot.Child(); child {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}
