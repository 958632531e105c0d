// SPDX-License-Identifier: Apache-2.0

package landing

import (
	"cmp"
	"slices"
)

// maxWhere bounds the places that one finding names.
const maxWhere = 6

// finding is one thing that is wrong.
type finding struct {
	Level level
	Text  string
	Where []string // endpoints or members
	More  int      // places left out
	// Upkeep says that the cluster serves all the same: something is to be looked
	// after before it does not.
	Upkeep bool
	// Aside says that it is not about the cluster but about its backups: however bad,
	// the cluster is not degraded by it.
	Aside bool
}

// findings are gathered by text, so that three endpoints with one fault are one
// line.
type findings []finding

func (f *findings) add(l level, text string, where ...string) {
	f.put(finding{Level: l, Text: text, Where: where})
}

// note adds what is upkeep.
func (f *findings) note(l level, text string, where ...string) {
	f.put(finding{Level: l, Text: text, Where: where, Upkeep: true})
}

// aside adds upkeep that is not the cluster's own.
func (f *findings) aside(l level, text string, where ...string) {
	f.put(finding{Level: l, Text: text, Where: where, Upkeep: true, Aside: true})
}

func (f *findings) put(found finding) {
	for i := range *f {
		if (*f)[i].Text == found.Text {
			(*f)[i].Where = append((*f)[i].Where, found.Where...)
			return
		}
	}
	*f = append(*f, found)
}

// worst is the level of them all.
func (f findings) worst() level {
	worst := good
	for _, one := range f {
		worst = max(worst, one.Level)
	}
	return worst
}

// done sorts them, the worst first and upkeep last, and cuts long lists of places.
func (f findings) done() findings {
	slices.SortStableFunc(f, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), cmp.Compare(truth(a.Upkeep), truth(b.Upkeep)))
	})
	for i := range f {
		if more := len(f[i].Where) - maxWhere; more > 0 {
			f[i].Where, f[i].More = f[i].Where[:maxWhere], more
		}
	}
	return f
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
