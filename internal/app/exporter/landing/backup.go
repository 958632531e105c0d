// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"slices"
	"time"
)

// A backup is too old after so many of its store's intervals.
const (
	overdueWarning = 2
	overdueBad     = 4
)

// storeView is one backup store and its newest snapshot.
type storeView struct {
	Name     string
	Due      string // how often a backup is; empty: not known
	State    cell   // whether the newest snapshot could be restored
	Newest   cell   // its age
	Sound    cell   // the age of the newest sound one
	Size     cell
	Contents cell
	Drill    cell // of restoring

	up, listed bool
	missing    bool    // there is no snapshot at all
	unsound    bool    // the newest one
	reason     string  // why it is not sound
	verified   bool    // a sound one is known
	taken      string  // when that was or, where none is known, the newest one
	intervals  float64 // so many of them was that ago, at the time of the scrape
	overdue    level
}

// newStoreViews makes a row of every store, the worst first. at is when the
// scrape was made: what it says of the time is judged by that, and an old scrape
// is reported as such.
func newStoreViews(r readings, at, now time.Time) []storeView {
	var all []storeView
	for _, name := range r.values("store", "backup_interval_seconds", "backup_store_up") {
		all = append(all, newStoreView(r, name, at, now))
	}
	slices.SortStableFunc(all, func(a, b storeView) int { return cmp.Compare(b.level(), a.level()) })
	return all
}

func (v *storeView) level() level { return max(v.State.Level, v.overdue, v.Drill.Level) }

func newStoreView(r readings, name string, at, now time.Time) storeView {
	v := storeView{Name: middle(name)}
	up, listed := r.value("backup_store_up", "store", name)
	v.up, v.listed = up == 1, listed
	v.ages(r, name, at, now)
	v.state(r, name)
	v.contents(r, name)
	if worked, ok := r.value("backup_restore_drill_success", "store", name); ok {
		v.Drill = cell{bad, "failed", ""}
		if worked == 1 {
			v.Drill = cell{good, "worked", ""}
		}
		if ended, ok := r.value("backup_restore_drill_timestamp_seconds", "store", name); ok {
			v.Drill.Text += " " + ago(since(now, ended))
		}
	}
	return v
}

// ages tells how old the newest snapshot is, and the newest sound one. Where none
// is known to be sound the newest is measured by the interval.
func (v *storeView) ages(r readings, name string, at, now time.Time) {
	interval, _ := r.value("backup_interval_seconds", "store", name)
	if interval > 0 {
		v.Due = lapse(seconds(interval))
	}
	newest, there := r.value("backup_timestamp_seconds", "store", name)
	sound, verified := r.value("backup_sound_timestamp_seconds", "store", name)
	measured, shown := newest, &v.Newest
	if there {
		v.Newest.Text = ago(since(now, newest))
	}
	if v.verified = verified; verified {
		measured, v.Sound.Text = sound, "the newest"
		if !there || sound != newest {
			v.Sound.Text, shown = ago(since(now, sound)), &v.Sound
		}
	}
	if !there && !verified {
		return
	}
	v.taken = ago(since(now, measured))
	if interval <= 0 {
		return
	}
	switch v.intervals = since(at, measured).Seconds() / interval; {
	case v.intervals > overdueBad:
		v.overdue = bad
	case v.intervals > overdueWarning:
		v.overdue = warning
	}
	shown.Level = v.overdue
}

// state puts the newest snapshot in words, and beside it what else is wrong.
func (v *storeView) state(r readings, name string) {
	soundness, judged := r.value("backup_verified", "store", name)
	v.unsound = judged && soundness != 1
	var note string
	v.reason, note = problems(r, name, v.unsound)
	files, _ := r.value("backup_files", "store", name)
	switch {
	case !v.listed:
		v.State = cell{unknown, "not looked at yet", ""}
	case !v.up && v.Newest.Text == "":
		v.State = cell{warning, "store down", "the exporter's log says why"}
	case !v.up:
		v.State = cell{warning, "store down", "the rest is from before"}
	case v.Newest.Text == "" && files > 0:
		v.State = cell{warning, "none is complete", cmp.Or(note, "still being written")}
	case v.Newest.Text == "":
		v.missing = true
		v.State = cell{bad, "no snapshot", note}
	case v.unsound && v.reason != "":
		v.State = cell{bad, "not sound: " + v.reason, note}
	case v.unsound:
		v.State = cell{bad, "not sound", note}
	case judged:
		v.State = cell{good, "sound", note}
	case v.verified: // another was judged, so this one will be
		v.State = cell{unknown, "not judged yet", note}
	default: // perhaps it never will be
		v.State = cell{unknown, "not judged", note}
	}
}

func (v *storeView) contents(r readings, name string) {
	stored, _ := r.value("backup_size_bytes", "store", name)
	if stored > 0 {
		v.Size.Text = size(stored)
	}
	if whole, _ := r.value("backup_uncompressed_size_bytes", "store", name); whole > 0 && whole != stored {
		v.Size.Note = size(whole) + " uncompressed"
	}
	if revision, known := r.value("backup_revision", "store", name); known {
		v.Contents.Text = grouped(revision)
	}
	if keys, known := r.value("backup_keys", "store", name); known {
		v.Contents.Note = count(keys, "key", "keys")
	}
}
