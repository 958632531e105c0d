// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"slices"
	"strings"

	"github.com/etcdops/etcdops/internal/snapshot"
	"github.com/etcdops/etcdops/internal/store"
	"github.com/etcdops/etcdops/internal/store/judge"
)

// problems puts a store's problems in words: why its newest file is not sound, and
// what else was found. The series do not tell which file a problem is of, so what
// only reading a file can find is taken for the newest's.
func problems(r readings, name string, unsound bool) (reason, note string) {
	var read, listed []string
	for m := range r.each("backup_problem", "store", name) {
		if text, reading := problemText(labelOf(m, "reason")); reading {
			read = append(read, text)
		} else {
			listed = append(listed, text)
		}
	}
	if len(read) == 0 && unsound {
		read, listed = listed, nil
	}
	if len(listed) > 0 {
		note = "found: " + strings.Join(listed, ", ")
	}
	if unsound {
		return strings.Join(read, ", "), note
	}
	return "", strings.Join(slices.DeleteFunc(append(read, note), func(text string) bool { return text == "" }), "; ")
}

// problemText also says whether it takes reading a file to find it.
func problemText(reason string) (text string, reading bool) {
	switch reason {
	case snapshot.ReasonEmpty:
		return "empty", true
	case snapshot.ReasonForeign:
		return "not a snapshot", true
	case snapshot.ReasonNoChecksum:
		return "no checksum at its end", true
	case snapshot.ReasonTruncated:
		return "cut off", true
	case snapshot.ReasonChecksum:
		return "checksum mismatch", true
	case snapshot.ReasonDamaged:
		return "damaged pages", true
	case snapshot.ReasonTimeout:
		return "its pages took too long to walk", true
	case snapshot.ReasonMemory:
		return "its pages took too much memory to walk", true
	case snapshot.ReasonNoKeys:
		return "no key space in it", true
	case store.ReasonDecompress:
		return "cannot be decompressed", true
	case store.ReasonTooLarge:
		return "too large once decompressed", true
	case judge.ReasonScratch:
		return "checksum only, no room in the scratch directory", true
	case judge.ReasonWalk:
		return "checksum only, its pages could not be walked", true
	case store.ReasonNotRegular:
		return "an entry that is no regular file", false
	case store.ReasonLink:
		return "a link that leads nowhere or out", false
	case store.ReasonUnreadable:
		return "a file that cannot be read", false
	case store.ReasonFuture:
		return "a file from the future", false
	case store.ReasonNameTime:
		return "a name without a time", false
	default:
		return strings.ReplaceAll(clean(reason), "_", " "), true
	}
}

// backups says what is wrong with the backups; the cluster itself may be well.
func (v *clusterView) backups() {
	f := &v.Findings
	for _, s := range v.Stores {
		switch {
		case s.missing:
			f.aside(bad, "Backup store holds no snapshot", s.place(s.State.Note))
		case s.listed && !s.up:
			f.aside(warning, "Backup store cannot be listed; the exporter's log says why", s.place(""))
		case s.listed && s.Newest.Text == "":
			f.aside(warning, "Backup store holds no complete snapshot yet", s.place(s.State.Note))
		}
		if s.unsound {
			f.aside(bad, "Newest backup is not sound", s.place(s.unsoundText()))
		}
		if s.overdue != good {
			f.aside(s.overdue, s.tooOld(), s.place("taken "+s.taken+", due every "+s.Due))
		}
		if s.Drill.Level == bad {
			f.aside(bad, "Restore drill failed: its result file says why", s.place(s.Drill.Text))
		}
	}
}

// place names the store in a finding.
func (v *storeView) place(detail string) string {
	if detail == "" {
		return v.Name
	}
	return v.Name + ": " + detail
}

// unsoundText says why the newest is not sound, and what one can fall back upon.
func (v *storeView) unsoundText() string {
	last := "; no sound one is known"
	if v.verified {
		last = "; the last sound one was taken " + v.Sound.Text
	}
	return strings.TrimPrefix(v.reason+last, "; ")
}

func (v *storeView) tooOld() string {
	text := "Newest backup is older than "
	if v.verified {
		text = "Newest sound backup is older than "
	}
	if v.overdue == bad {
		return text + "four intervals"
	}
	return text + "two intervals"
}

// brief is the store in the table of clusters.
func (v *storeView) brief() cell {
	switch {
	case !v.listed:
		return cell{}
	case v.missing:
		return cell{bad, "none", ""}
	case v.unsound:
		return cell{bad, "not sound", ""}
	case v.taken == "", !v.up && v.overdue == good:
		return cell{v.State.Level, v.State.Text, ""}
	default:
		return cell{v.overdue, v.taken, ""}
	}
}

// worstBackup picks the figure of the table of clusters.
func worstBackup(stores []storeView) cell {
	if len(stores) == 0 {
		return cell{}
	}
	worst := slices.MaxFunc(stores, func(a, b storeView) int {
		return cmp.Or(cmp.Compare(a.brief().Level, b.brief().Level), cmp.Compare(a.intervals, b.intervals))
	})
	return worst.brief()
}
