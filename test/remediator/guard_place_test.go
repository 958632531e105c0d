// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etcdops/etcdops/test/lab"
)

// testDisk: the room for the copy must be known, or not knowing it accepted.
func testDisk(t *testing.T, l *lab.Lab) {
	dir := l.Member(0).DataDir()
	named := fmt.Sprintf("    data_dirs:\n      %q: %q\n", l.Endpoints()[0], dir)
	unknown := edit(t, writeConfig(t, l, policyOf(lone)), named, "")
	refuses(t, l, unknown, want{by: "disk", saying: "the free space is not known"}, "defrag")
	planRefuses(t, unknown, want{by: "disk", saying: "accept_unknown_disk"}, "defrag")
	for place, why := range map[string]string{
		"/proc":                      "0 B free in /proc of m0", // a file system without room
		filepath.Join(dir, "absent"): "no such file or directory",
	} {
		config := edit(t, writeConfig(t, l, policyOf(lone)), fmt.Sprintf(": %q\n", dir), fmt.Sprintf(": %q\n", place))
		refuses(t, l, config, want{by: "disk", saying: why}, "defrag")
	}
	plans(t, edit(t, writeConfig(t, l, policyOf(lone+", accept_unknown_disk: true")), named, ""))

	var fs unix.Statfs_t
	must(t, unix.Statfs(dir, &fs))
	if fs.Bavail*uint64(fs.Bsize) < 2<<30 {
		t.Skip("less than 2 GiB are free here")
	}
	acts(t, l, writeConfig(t, l, policyOf(lone)))
}

// testQueries: a Prometheus must answer something; then it also answers for the disk.
func testQueries(t *testing.T, l *lab.Lab) {
	var answer atomic.Value
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/query" || r.FormValue("query") != `node_filesystem_avail_bytes > 2e9` {
			t.Errorf("asked %s for %q", r.URL.Path, r.FormValue("query"))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer.Load())
	}))
	t.Cleanup(prometheus.Close)
	block := "  prometheus: {url: '" + prometheus.URL + "'}\n" + policyOf(lone+`, require_queries: ['node_filesystem_avail_bytes > 2e9']`)
	named := fmt.Sprintf("    data_dirs:\n      %q: %q\n", l.Endpoints()[0], l.Member(0).DataDir())
	config := edit(t, writeConfig(t, l, block), named, "")
	const vector = `{"status":"success","data":{"resultType":"vector","result":[%s]}%s}`
	const one = `{"metric":{"instance":"a"},"value":[1700000000,"3e9"]}`
	for _, test := range []struct{ answer, saying string }{
		{fmt.Sprintf(vector, "", ""), "returns nothing"},
		{fmt.Sprintf(vector, one, `,"warnings":["one of two stores did not answer"]`), "one of two stores"},
		{`{"status":"error","errorType":"execution","error":"too many samples"}`, "too many samples"},
		{`<html>`, "query node_filesystem"},
	} {
		answer.Store(test.answer)
		refuses(t, l, config, want{by: "queries", saying: test.saying}, "defrag")
	}
	answer.Store(fmt.Sprintf(vector, one, ""))
	acts(t, l, config)
	waste(t, l)
	prometheus.Close()
	refuses(t, l, config, want{by: "queries", saying: "connection refused"}, "defrag")
}

// testMaxPause: a member that would be away for longer than the policy bears.
func testMaxPause(t *testing.T, l *lab.Lab) {
	client, err := l.Client()
	must(t, err)
	_, err = client.Put(patient(t), "large", strings.Repeat("x", 1<<20)) // 10 ms at 100 MB/s
	must(t, err)
	await(t, 10*time.Second, "the member counts what was written", func() error {
		status, err := client.Status(patient(t), l.Endpoints()[0])
		if err == nil && status.DbSizeInUse < 1<<20 {
			err = fmt.Errorf("%d bytes in use", status.DbSizeInUse)
		}
		return err
	})
	config := writeConfig(t, l, strings.Replace(policyOf(lone), "settle: 0s", "settle: 0s, max_pause: 1ms", 1))
	refuses(t, l, config, want{by: "pause", saying: "longer than max_pause"}, "defrag")
	_, err = client.Delete(patient(t), "large")
	must(t, err)
}
