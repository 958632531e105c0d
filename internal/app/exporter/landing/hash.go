// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"strings"
	"time"
)

// hashCell says whether the voters hold the same data, where that is compared.
func hashCell(r readings, now time.Time) cell {
	consistent, known := r.value("cluster_hash_consistent")
	if !known {
		return cell{}
	}
	c := cell{good, "the same on all voters", ""}
	if consistent != 1 {
		c = cell{bad, "the voters differ", ""}
	}
	if revision, ok := r.value("cluster_hash_revision"); ok {
		c.Note = "at revision " + grouped(revision)
	}
	if at, ok := r.value("cluster_hash_timestamp_seconds"); ok {
		c.Note = strings.TrimPrefix(c.Note+", "+ago(since(now, at)), ", ")
	}
	return c
}

// data says that the voters' hashes of what they hold differ. etcd itself serves on.
func (v *clusterView) data(r readings) string {
	if !r.is(0, "cluster_hash_consistent") {
		return ""
	}
	text := "Members disagree: the hashes of their data differ, at least one serves wrong data"
	if revision, ok := r.value("cluster_hash_revision"); ok {
		v.Findings.add(bad, text, "hash revision "+grouped(revision))
	} else {
		v.Findings.add(bad, text)
	}
	return "members disagree"
}
