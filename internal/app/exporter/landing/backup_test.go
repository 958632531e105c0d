// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// stored is a cluster with one store, where a backup is due every hour; series are
// its metrics without their common prefix, and those of time hold an age.
func stored(t *testing.T, series map[string]float64, problems ...string) Cluster {
	t.Helper()
	var scrape strings.Builder
	scrape.WriteString("etcdops_endpoint_up{url=\"" + first + "\"} 1\netcdops_backup_interval_seconds{store=\"s\"} 3600\n")
	at := sampleNow.Add(-12 * time.Second) // of the scrape
	for name, v := range series {
		if strings.Contains(name, "timestamp") {
			v = float64(at.Unix()) - v
		}
		fmt.Fprintf(&scrape, "etcdops_backup_%s{store=\"s\"} %f\n", name, v)
	}
	for _, p := range problems {
		fmt.Fprintf(&scrape, "etcdops_backup_problem{store=\"s\",reason=%q} 1\n", p)
	}
	return scraped(t, scrape.String())
}

func TestStores(t *testing.T) {
	page := render(t, loadSample(t, "healthy"))
	if got, want := page.row("local"), (map[string]string{
		"State": "sound", "Newest": "2 h 20 m ago", "Last sound": "the newest", "Size": "2.15 GiB",
		"Revision": "18,702,311 47,980 keys", "Restore drill": "worked 2 days ago",
	}); !maps.Equal(got, want) {
		t.Errorf("row:\n got %v\nwant %v", got, want)
	}
	expect(t, page.row("offsite")["Size"], "489 MiB 2.14 GiB uncompressed")
	expect(t, words(page.all("table", "stores")[0]), "local backup store, due every 6 h")
	bad := render(t, loadSample(t, "bad_night"))
	if got, want := bad.row(hourly), (map[string]string{
		"State": "not sound: checksum mismatch found: a link that leads nowhere or out", "Newest": "2 h 20 m ago",
		"Last sound": "31 h 1 m ago", "Size": "2.15 GiB", "Revision": "–", "Restore drill": "failed 28 h 48 m ago",
	}); !maps.Equal(got, want) {
		t.Errorf("row:\n got %v\nwant %v", got, want)
	}
	expect(t, words(bad.all("table", "stores")[0]), hourly+" backup store, due every 6 h")
	heads := elements(bad.all("table", "stores")[0], "bdi", "url")
	if words(heads[0]) != hourly {
		t.Errorf("the first store is %s, which is not the worst", words(heads[0]))
	}
}

func TestStoreStates(t *testing.T) {
	const minute = 60.0
	for name, c := range map[string]struct {
		series   map[string]float64
		problems []string
		state    string
		finds    string
		brief    string
	}{
		"not listed":    {nil, nil, "not looked at yet", "", "–"},
		"missing":       {map[string]float64{"store_up": 1, "files": 0}, nil, "no snapshot", "Critical: Backup store holds no snapshot s", "none"},
		"foreign":       {map[string]float64{"store_up": 1, "files": 0}, []string{store.ReasonLink}, "no snapshot found: a link that leads nowhere or out", "Critical: Backup store holds no snapshot s: found: a link that leads nowhere or out", "none"},
		"being written": {map[string]float64{"store_up": 1, "files": 1}, nil, "none is complete still being written", "Warning: Backup store holds no complete snapshot yet s: still being written", "none is complete"},
		"down":          {map[string]float64{"store_up": 0, "files": 0}, nil, "store down the exporter's log says why", "Warning: Backup store cannot be listed; the exporter's log says why s", "store down"},
		"down now": {
			map[string]float64{"store_up": 0, "files": 1, "timestamp_seconds": minute, "verified": 1, "sound_timestamp_seconds": minute},
			nil, "store down the rest is from before", "Warning: Backup store cannot be listed; the exporter's log says why s", "store down",
		},
		"down for long": {
			map[string]float64{"store_up": 0, "files": 1, "timestamp_seconds": 181 * minute, "verified": 1, "sound_timestamp_seconds": 181 * minute},
			nil, "store down the rest is from before",
			"Warning: Backup store cannot be listed; the exporter's log says why s\nWarning: Newest sound backup is older than two intervals s: taken 3 h 1 m ago, due every 1 h", "3 h 1 m ago",
		},
		"not verified": {map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute}, nil, "not judged", "", "1 m 12 s ago"},
		"not yet":      {map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "sound_timestamp_seconds": 60 * minute}, nil, "not judged yet", "", "1 h ago"},
		"unreadable":   {map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute}, []string{store.ReasonUnreadable}, "not judged found: a file that cannot be read", "", "1 m 12 s ago"},
		"sound":        {map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "verified": 1, "sound_timestamp_seconds": minute}, nil, "sound", "", "1 m 12 s ago"},
		"not walked": {
			map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "verified": 1, "sound_timestamp_seconds": minute},
			[]string{judge.ReasonScratch, store.ReasonLink},
			"sound checksum only, no room in the scratch directory; found: a link that leads nowhere or out", "", "1 m 12 s ago",
		},
		"unsound": {
			map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "verified": 0},
			[]string{snapshot.ReasonTruncated},
			"not sound: cut off", "Critical: Newest backup is not sound s: cut off; no sound one is known", "not sound",
		},
		"unsound by its entry": {
			map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "verified": 0},
			[]string{store.ReasonUnreadable},
			"not sound: a file that cannot be read", "Critical: Newest backup is not sound s: a file that cannot be read; no sound one is known", "not sound",
		},
		"unsound since": {
			map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "verified": 0, "sound_timestamp_seconds": 61 * minute},
			nil, "not sound", "Critical: Newest backup is not sound s: the last sound one was taken 1 h 1 m ago", "not sound",
		},
		"drill": {
			map[string]float64{"store_up": 1, "files": 3, "timestamp_seconds": minute, "verified": 1, "sound_timestamp_seconds": minute, "restore_drill_success": 0, "restore_drill_timestamp_seconds": 108},
			nil, "sound", "Critical: Restore drill failed: its result file says why s: failed 2 m ago", "1 m 12 s ago",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := stored(t, c.series, c.problems...)
			page := render(t, cluster)
			if got := page.row("s")["State"]; got != c.state {
				t.Errorf("state: got %q, want %q", got, c.state)
			}
			if got := page.findings(); got != c.finds {
				t.Errorf("findings:\n got %s\nwant %s", got, c.finds)
			}
			if got := words(backupCells(render(t, slices.Repeat([]Cluster{cluster}, overviewFrom)...))[0]); got != c.brief {
				t.Errorf("overview: got %q, want %q", got, c.brief)
			}
			if want := map[bool]string{true: "needs attention", false: "healthy"}[c.finds != ""]; page.state() != want {
				t.Errorf("the cluster is %s, want %s", page.state(), want) // never degraded by its backups
			}
		})
	}
}

func TestBackupAge(t *testing.T) {
	hours := func(h float64) float64 { return h * 3600 }
	for name, c := range map[string]struct {
		newest, sound float64 // ages; sound < 0: none is known
		want          string
		cell          string // whose level tells
	}{
		"fresh":             {hours(2), hours(2), "", ""},
		"two intervals":     {hours(2) + 1, hours(2) + 1, "Warning: Newest sound backup is older than two intervals s: taken 2 h ago, due every 1 h", "Newest"},
		"almost four":       {hours(4), hours(4), "Warning: Newest sound backup is older than two intervals s: taken 4 h ago, due every 1 h", "Newest"},
		"four intervals":    {hours(4) + 1, hours(4) + 1, "Critical: Newest sound backup is older than four intervals s: taken 4 h ago, due every 1 h", "Newest"},
		"only a new file":   {1, hours(5), "Critical: Newest sound backup is older than four intervals s: taken 5 h ago, due every 1 h", "Last sound"},
		"not verified":      {hours(3), -1, "Warning: Newest backup is older than two intervals s: taken 3 h ago, due every 1 h", "Newest"},
		"not verified, new": {hours(1), -1, "", ""},
		"from the future":   {-hours(100), -1, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			series := map[string]float64{"store_up": 1, "files": 9, "timestamp_seconds": c.newest}
			if c.sound >= 0 {
				series["sound_timestamp_seconds"] = c.sound
			}
			page := render(t, stored(t, series))
			if got := page.findings(); got != c.want {
				t.Errorf("findings:\n got %s\nwant %s", got, c.want)
			}
			for _, td := range elements(page.all("table", "stores")[0], "td", "") {
				name := attribute(td, "data-name")
				marked := len(elements(td, "span", "warning"))+len(elements(td, "span", "bad")) > 0
				if marked != (name == c.cell) {
					t.Errorf("%s is marked: %t", name, marked)
				}
			}
		})
	}
}

// TestWorstStore: in the table of clusters the worst of several stores is shown.
func TestWorstStore(t *testing.T) {
	view := func(level level, intervals float64, taken string) storeView {
		return storeView{listed: true, up: true, overdue: level, intervals: intervals, taken: taken}
	}
	for want, stores := range map[string][]storeView{
		"":  nil,
		"b": {view(good, 0.1, "a"), view(good, 0.2, "b"), view(good, 0.1, "c")},
		"c": {view(good, 1.9, "a"), view(warning, 3, "b"), view(bad, 5, "c")},
	} {
		if got := worstBackup(stores).Text; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestProblemTexts: no reason that a store gives is shown as it stands in the code.
func TestProblemTexts(t *testing.T) {
	for _, reason := range []string{
		snapshot.ReasonEmpty, snapshot.ReasonForeign, snapshot.ReasonNoChecksum, snapshot.ReasonTruncated, snapshot.ReasonChecksum,
		snapshot.ReasonDamaged, snapshot.ReasonTimeout, snapshot.ReasonMemory, snapshot.ReasonNoKeys, store.ReasonNotRegular,
		store.ReasonLink, store.ReasonUnreadable, store.ReasonDecompress, store.ReasonTooLarge, store.ReasonFuture, store.ReasonNameTime,
		judge.ReasonScratch, "of_another_kind",
	} {
		if text, _ := problemText(reason); strings.Contains(text, "_") || text == "" {
			t.Errorf("%s is shown as %q", reason, text)
		}
	}
}

// TestNoNoise: what no collector told leaves no row, no table, no column.
func TestNoNoise(t *testing.T) {
	bare := without(loadSample(t, "healthy"), "keyspace", "backup", "cluster_hash")
	page := render(t, slices.Repeat([]Cluster{bare}, overviewFrom)...)
	if n := len(page.all("table", "keys")) + len(page.all("table", "stores")); n != 0 {
		t.Errorf("%d tables of nothing", n)
	}
	expect(t, words(page.root), "!Backup", "!Key prefix", "!Restore drill", "!Data ")
	undrilled := render(t, without(loadSample(t, "healthy"), "backup_restore_drill"))
	expect(t, words(undrilled.root), "Last sound", "!Restore drill")
	if drill, there := undrilled.row("local")["Restore drill"]; there {
		t.Errorf("a cell %q for a drill that no store has", drill)
	}
	if n := len(backupCells(page)); n != 0 {
		t.Errorf("%d cells of backups", n)
	}
	var got []string
	for _, td := range backupCells(render(t, loadSample(t, "healthy"), bare, bare, bare)) {
		got = append(got, words(td))
	}
	if want := []string{"26 h ago", "–", "–", "–"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// backupCells are those of the table of clusters.
func backupCells(page landing) []*html.Node {
	return slices.DeleteFunc(elements(page.all("table", "overview")[0], "td", ""), func(td *html.Node) bool { return attribute(td, "data-name") != "Backup" })
}
