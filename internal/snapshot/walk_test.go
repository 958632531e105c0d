// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func walk(t *testing.T, content []byte, limits Limits) Contents {
	t.Helper()
	c, err := Walk(t.Context(), openFile(t, content), limits)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWalk(t *testing.T) {
	busy := newHistory().write("a", "b", "c").write("a").write("-b", "d").write("b", "-c").write("-a")
	compacted := newHistory().write("a", "b", "c").write("a").write("-b", "d").write("b", "-c")
	compacted.compact(4, 99)
	compacted.write("a").write("-d").write("e")
	emptied := newHistory().write("a").write("-a")
	emptied.compact(3, 99)
	emptied.records = nil // older versions of etcd keep no tombstone
	bumped := newHistory().write("a", "b")
	bumped.records = append(bumped.records, entry{main: 1000, value: []byte{}})
	orphans := newHistory()
	orphans.records = []entry{{main: 5, key: "x", tombstone: true, value: encodeRecord("x", 0, 0, 0, nil)}, {main: 6, key: "y", value: encodeRecord("y", 3, 6, 4, nil)}}
	old := newHistory().write("a").buckets(0, 0)
	delete(old["meta"], "storageVersion")
	for _, test := range []struct {
		name    string
		buckets buckets
		want    Contents
	}{
		{"fresh", newHistory().buckets(0, 0), Contents{StartRevision: 1, StorageVersion: "3.6.0"}},
		{"one key, before 3.6", old, Contents{Revision: 2, StartRevision: 2, Keys: 1, Records: 1}},
		{"without bucket meta", buckets{"key": old["key"]}, Contents{Revision: 2, StartRevision: 2, Keys: 1, Records: 1}},
		{"put, put again, deleted, put once more", busy.buckets(0, 0), Contents{Revision: 6, StartRevision: 6, Keys: 2, Records: 9, StorageVersion: "3.6.0"}},
		{"compacted", compacted.buckets(4, 4), Contents{Revision: 8, CompactRevision: 4, StartRevision: 8, Keys: 4 - 1, Records: 9, StorageVersion: "3.6.0"}},
		{"all compacted away", emptied.buckets(3, 3), Contents{CompactRevision: 3, StartRevision: 3, StorageVersion: "3.6.0"}},
		{"crashed before the compaction was noted", emptied.buckets(0, 3), Contents{StartRevision: 3, StorageVersion: "3.6.0"}},
		{"revision bumped by a restore", bumped.buckets(0, 1000), Contents{Revision: 1000, StartRevision: 1000, Keys: 2, Records: 3, StorageVersion: "3.6.0"}},
		{"a tombstone of no key", orphans.buckets(0, 0), Contents{Revision: 6, StartRevision: 6, Keys: 1, Records: 2, StorageVersion: "3.6.0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := walk(t, seal(test.buckets.database(t)), Limits{}); got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

// Random key spaces, compacted at random revisions, some of the compactions
// interrupted: the count is that of the keys that live.
func TestWalkCountsWhatLives(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			countRandom(t, seed)
		})
	}
}

func countRandom(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHistory()
	var finished, scheduled int64
	for range 400 {
		var changes []string
		for _, key := range random.Perm(60)[:1+random.IntN(4)] {
			name := fmt.Sprintf("/registry/events/%d", key)
			if random.IntN(3) == 0 {
				name = "-" + name
			}
			changes = append(changes, name)
		}
		h.write(changes...)
		if random.IntN(60) == 0 && h.revision > scheduled {
			scheduled += 1 + random.Int64N(h.revision-scheduled)
			finished = scheduled
			h.compact(scheduled, len(h.records))
		}
	}
	if seed%2 == 1 && h.revision > scheduled {
		scheduled += 1 + random.Int64N(h.revision-scheduled)
		h.compact(scheduled, random.IntN(len(h.records)))
	}
	want := Contents{
		Revision: h.revision, StartRevision: h.revision, CompactRevision: finished,
		Keys: int64(len(h.live)), Records: int64(len(h.records)), StorageVersion: "3.6.0",
	}
	if got := walk(t, seal(h.buckets(finished, scheduled).database(t)), Limits{}); got != want {
		t.Errorf("compaction %d of %d:\ngot  %+v\nwant %+v", finished, scheduled, got, want)
	}
}

func TestWalkFindsWhatEtcdCannotRead(t *testing.T) {
	name := string(revisionBytes(5, 0, false))
	for _, test := range []struct {
		name    string
		buckets buckets
		reason  string
		text    string
	}{
		{"empty database", buckets{}, ReasonNoKeys, "bucket `key`"},
		{"another program's database", buckets{"keys": {"a": []byte("b")}}, ReasonNoKeys, "none of etcd 3"},
		{"foreign names", buckets{"key": {"a": []byte("b")}}, ReasonDamaged, "no revision"},
		{"no KeyValue", buckets{"key": {name: []byte("b")}}, ReasonDamaged, "at revision 5: a record is no KeyValue"},
		{"foreign compaction", buckets{"key": {}, "meta": {"finishedCompactRev": []byte("b")}}, ReasonDamaged, "no revision"},
		{"foreign scheduled compaction", buckets{"key": {}, "meta": {"scheduledCompactRev": []byte("b")}}, ReasonDamaged, "no revision"},
		{"escape codes for a version", buckets{"key": {}, "meta": {"storageVersion": []byte("\x1b[2J")}}, ReasonDamaged, "no version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := walk(t, seal(test.buckets.database(t)), Limits{})
			if reasonOf(c.Problem) != test.reason || !strings.Contains(c.Problem.Error(), test.text) {
				t.Errorf("problem %v, want %s: %s", c.Problem, test.reason, test.text)
			}
			if c.Keys != 0 || c.Records != 0 {
				t.Errorf("figures beside a problem: %+v", c)
			}
		})
	}
}

// Emptied between Sum and Walk: bbolt would make a new database of it.
func TestWalkOfAnEmptyFile(t *testing.T) {
	file := openFile(t, nil)
	c, err := Walk(t.Context(), file, Limits{})
	if err != nil || reasonOf(c.Problem) != ReasonDamaged || !strings.Contains(c.Problem.Error(), "emptied") {
		t.Errorf("got %+v, %v", c, err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("the file was written: %v, %v", info, err)
	}
}

func TestWalkNeedsARegularFile(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if _, err := Walk(t.Context(), dir, Limits{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
	file := openFile(t, small(t))
	file.Close()
	if _, err := Walk(t.Context(), file, Limits{}); err == nil {
		t.Error("a closed file was walked")
	}
}

func TestSeenHoldsEachKeyOnce(t *testing.T) {
	s := newSeen()
	for round := range 2 {
		for i := range 20_000 {
			if isNew := s.add([]byte(fmt.Sprint(i))); isNew != (round == 0) {
				t.Fatalf("round %d, key %d: new is %v", round, i, isNew)
			}
		}
	}
}
