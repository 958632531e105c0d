// SPDX-License-Identifier: Apache-2.0

// Command metricsdoc prints docs/metrics.md.
package main

import (
	"fmt"
	"os"

	"github.com/etcdops/etcdops/internal/metricsdoc"
)

func main() {
	if err := metricsdoc.Write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "metricsdoc:", err)
		os.Exit(1)
	}
}
