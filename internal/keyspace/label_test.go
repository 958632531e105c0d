// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLabel(t *testing.T) {
	long := strings.Repeat("a", 201)
	for _, row := range []struct{ group, want string }{
		{"kube-system", "kube-system"},
		{"ns_1.example", "ns_1.example"},
		{"_one", "_one"},
		{"日本", "日本"},
		{"", `\empty`},
		{`\empty`, `\\empty`},
		{"__other__", `\x5f_other__`},
		{"__leaf__", `\x5f_leaf__`},
		{`\x5f_leaf__`, `\\x5f_leaf__`},
		{"a\nb\xff\u200b", `a\x0ab\xff\u{200b}`},
		{"\ufffd", "\ufffd"},
		{long, long[:50] + `\sha256:a1eab5b1f6d5f6ab4b5b3b5f0d3cc9ea`},
	} {
		got := Label([]byte(row.group))
		if row.group == long {
			got, row.want = got[:58], row.want[:58]
		}
		if got != row.want {
			t.Errorf("%q is labelled %q, want %q", row.group, got, row.want)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add([]byte("a"), []byte("b"))
	f.Add([]byte("\xff"), []byte(`\xff`))
	f.Add([]byte(strings.Repeat("\x01", 100)), []byte(strings.Repeat("é", 120)))
	f.Add([]byte(""), []byte(`\empty`))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		first, second := Label(a), Label(b)
		if (first == second) != (string(a) == string(b)) {
			t.Fatalf("%q and %q are labelled %q and %q", a, b, first, second)
		}
		if first == "" || !utf8.ValidString(first) || len(first) > 300 || strings.HasPrefix(first, "__") {
			t.Fatalf("%q is labelled %q", a, first)
		}
	})
}
