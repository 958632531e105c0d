// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/etcdops/etcdops/internal/keyspace"
)

const (
	mirrorDifference = `mirror_keys_difference{prefix="/p/"}`
	mirrorChange     = `mirror_source_change_timestamp_seconds{prefix="/p/"}`
	mirrorRevision   = "mirror_revision_timestamp_seconds"
)

// mirrorWorld is a mirror, whose counts and whose source's a test makes up.
type mirrorWorld struct {
	*world
	collector   Collector
	own, source Count // Ended is zero before the first
}

func newMirrorWorld() *mirrorWorld {
	w := &mirrorWorld{world: newWorld(3)}
	of := func(c *Count) func(string) (Count, bool) {
		return func(prefix string) (Count, bool) { return *c, prefix == "/p/" && !c.Ended.IsZero() }
	}
	w.deps.Mirror = &Mirror{Source: "prod", Prefixes: []string{"/p/"}, Own: of(&w.own), Others: of(&w.source)}
	w.collector = newMirror(w.deps)
	return w
}

// counting takes a second and finds one group of so many keys.
func counting(keys int64) Count {
	begun := time.Now()
	time.Sleep(time.Second)
	return Count{keyspace.Result{Keys: keys, Found: 1, Groups: []keyspace.Group{{Name: []byte("g"), Keys: keys}}}, begun, time.Now()}
}

// write is a revision that the mirror's members get.
func (w *mirrorWorld) write() {
	for _, f := range w.fakes {
		f.change(func() { f.status.Revision++ })
	}
}

func TestMirrorDifference(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		counts string // s and m count the source and the mirror
		want   float64
	}{
		{"nothing is counted", "", absent},
		{"the source alone", "s5 s5", absent},
		{"the mirror alone", "m5 m5", absent},
		{"not counted since the mirror was", "s5 m5", absent},
		{"equal", "s5 m5 s5", 0},
		{"the mirror was counted first", "m5 s5", 0},
		{"empty", "s0 m0 s0", 0},
		{"the mirror lacks all", "s5 m0 s5", 5},
		{"the mirror lacks some", "s5 m3 s5", 2},
		{"the mirror has more", "s5 m8 s5", -3},
		{"the source grows", "s5 m7 s9", 0},
		{"the source shrinks", "s9 m7 s5", 0},
		{"behind a source that grows", "s5 m4 s9", 1},
		{"ahead of a source that grows", "s5 m11 s9", -2},
		{"two counts of the source between", "s5 s7 m6 s7", 1},
		{"the last verdict stays until there is another", "s5 m3 s5 m5", 2},
		{"and then goes", "s5 m3 s5 m5 s5", 0},
		{"the source's count before the mirror's counts for both", "s5 m5 s9 m9 s9", 0},
		{"stopped", "s5 m5 s6 m5 s8 m5 s8", 3},
		{"a mirror that is counted more often", "s5 m5 m4 m3 s5", 2},
		{"a mirror that is counted more often than a source that grows", "s5 m6 m7 m8 s9", 0},
		{"a source that is counted more often", "s1 s2 s3 m3 s4 s5", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newMirrorWorld()
				w.must(t, w.collector)
				for word := range strings.FieldsSeq(test.counts) {
					var keys int64
					if _, err := fmt.Sscan(word[1:], &keys); err != nil {
						t.Fatal(err)
					}
					if one := counting(keys); word[0] == 's' {
						w.source = one
					} else {
						w.own = one
					}
					w.must(t, w.collector)
				}
				w.must(t, w.collector).want(t, series{mirrorDifference: test.want})
			})
		})
	}
}

// TestMirrorLongCount: a count of the mirror that takes longer than many of the source is
// held against all of those, however many they are.
func TestMirrorLongCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newMirrorWorld()
		w.must(t, w.collector)
		begun := time.Now()
		for i := range int64(200) {
			w.source = counting(1000 + i)
			w.must(t, w.collector)
		}
		w.own = Count{keyspace.Result{Keys: 1150}, begun, time.Now()}
		w.must(t, w.collector)
		w.source = counting(1200)
		w.must(t, w.collector).want(t, series{mirrorDifference: 0})
		if kept := len(w.collector.(*mirror).comparisons["/p/"].tallies); kept > mostTallies {
			t.Errorf("%d counts are kept", kept)
		}
	})
}

// TestMirrorRevision: it is the time of the last write, and neither a restart of members
// nor a restore is one.
func TestMirrorRevision(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newMirrorWorld()
		first := seconds(time.Now())
		w.must(t, w.collector).want(t, series{mirrorRevision: first})
		time.Sleep(time.Minute)
		w.must(t, w.collector).want(t, series{mirrorRevision: first})
		w.write()
		w.must(t, w.collector).want(t, series{mirrorRevision: first + 60})
		for _, step := range []struct {
			name   string
			change func(f *fakeAPI)
		}{
			{"all are down", func(f *fakeAPI) { f.fail[qAll] = errRefused }},
			{"all are up, and went back", func(f *fakeAPI) { delete(f.fail, qAll); f.status.Revision = 7 }},
		} {
			time.Sleep(time.Minute)
			for _, f := range w.fakes {
				f.change(func() { step.change(f) })
			}
			if got := w.must(t, w.collector); got[mirrorRevision] != first+60 {
				t.Errorf("%s: the last write was at %v, want %v", step.name, got[mirrorRevision], first+60)
			}
		}
		w.write()
		if got := w.must(t, w.collector); got[mirrorRevision] != first+180 {
			t.Errorf("a write after that was at %v, want %v", got[mirrorRevision], first+180)
		}
	})
}

// TestMirrorSourceChange: the earliest time at which what the counts show can have been
// written. A mirror that follows has grown since.
func TestMirrorSourceChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newMirrorWorld()
		w.source = counting(5)
		w.must(t, w.collector).want(t, series{mirrorChange: absent})
		w.source = counting(5)
		w.must(t, w.collector).want(t, series{mirrorChange: absent})
		before := w.source
		for i, change := range []func(*Count){
			func(c *Count) { c.Keys++ },
			func(c *Count) { c.Leaf, c.Other = c.Leaf+1, c.Other-1 },
			func(c *Count) { c.Groups[0].Keys-- },
			func(c *Count) { c.Groups[0].Name = []byte("h") },
			func(c *Count) { c.Found++ },
		} {
			next := before
			next.Groups = []keyspace.Group{before.Groups[0]}
			change(&next)
			next.Begun = time.Now()
			time.Sleep(time.Minute)
			next.Ended = time.Now()
			w.source = next
			if got := w.must(t, w.collector)[mirrorChange]; got != seconds(before.Begun) {
				t.Errorf("change %d: %v, want %v", i, got, seconds(before.Begun))
			}
			before = next
		}
		// The same again, and one whose groups are a matter of chance, tell of no change.
		last := w.must(t, w.collector)[mirrorChange]
		for range 2 {
			time.Sleep(time.Minute)
			next := before
			next.Begun, next.Ended, next.Capped, next.Found = time.Now(), time.Now(), true, 17
			w.source, before = next, next
			if got := w.must(t, w.collector)[mirrorChange]; got != last {
				t.Errorf("nothing changed: %v, want %v", got, last)
			}
		}
	})
}

// TestMirrorNotCompared: what cannot be compared any more is not told for ever, and the
// collector says why.
func TestMirrorNotCompared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newMirrorWorld()
		w.must(t, w.collector)
		w.source = counting(5)
		w.must(t, w.collector)
		w.own = counting(5)
		w.must(t, w.collector)
		w.source = counting(5)
		for range 59 { // nobody scrapes the source any more
			w.must(t, w.collector).want(t, series{mirrorDifference: 0})
			time.Sleep(time.Minute)
			w.own = counting(4)
		}
		time.Sleep(time.Minute)
		got, err := w.scrape(t.Context(), w.collector)
		got.want(t, series{mirrorDifference: absent})
		if err == nil || !strings.Contains(err.Error(), `keys below "/p/" were not compared with those of cluster prod for 1h`) {
			t.Errorf("the error is %v", err)
		}
		w.source = counting(6)
		w.must(t, w.collector).want(t, series{mirrorDifference: 1})
	})
}

// TestMirrorOfNone: most clusters are no mirrors.
func TestMirrorOfNone(t *testing.T) {
	t.Parallel()
	c := newMirror(Deps{})
	if c.(optional).applies() {
		t.Error("it applies to a cluster that is no mirror")
	}
	if got := newWorld(1).must(t, c); len(got) != 0 {
		t.Errorf("it gives %v", got)
	}
}
