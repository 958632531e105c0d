// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"testing"
)

// mirrored is a file of clusters, each "name mirror_of"; cluster number i has the
// endpoint http://h:i. more follows the last one.
func mirrored(more string, pairs ...[2]string) []byte {
	text := "clusters:\n"
	for i, pair := range pairs {
		text += fmt.Sprintf("  - {name: %s, endpoints: ['http://h:%d'], mirror_of: %q}\n", pair[0], i+1, pair[1])
	}
	return []byte(text + more)
}

func TestMirrorFaults(t *testing.T) {
	for _, test := range []struct {
		name string
		text []byte
		want string
	}{
		{"unknown", mirrored("", [2]string{"a"}, [2]string{"dr", "prod"}), `3 clusters[1].mirror_of: no cluster is called "prod": name one of those`},
		{"itself", mirrored("", [2]string{"a"}, [2]string{"dr", "dr"}), `3 clusters[1].mirror_of: "dr" is this cluster itself`},
		{"the only one", mirrored("", [2]string{"a", "a"}), `2 clusters[0].mirror_of: "a" is this cluster itself`},
		{"each other", mirrored("", [2]string{"a", "b"}, [2]string{"b", "a"}), `2 clusters[0].mirror_of: "b" is itself a mirror of this one in the end` + "\n" + `3 clusters[1].mirror_of: "a" is itself a mirror`},
		{"a ring, and one that hangs on it", mirrored("", [2]string{"a", "b"}, [2]string{"b", "c"}, [2]string{"c", "a"}, [2]string{"d", "a"}), "2 clusters[0].mirror_of: for ever\n3 clusters[1].mirror_of: for ever\n4 clusters[2].mirror_of: for ever"},
		{"the same cluster", mirrored("  - {name: b, endpoints: ['http://h:9', 'http://H:1/'], mirror_of: a}\n", [2]string{"a"}), `3 clusters[1].mirror_of: both have the endpoint "http://h:1": a mirror is another cluster`},
		{"nothing in common", mirrored("  - {name: b, endpoints: ['http://h:9'], mirror_of: a, keyspaces: [{prefix: /app/}]}\n", [2]string{"a"}), `3 clusters[1].mirror_of: this cluster counts no prefix that "a" counts: write the same prefix`},
		{"nothing counted", mirrored("  - {name: b, endpoints: ['http://h:9'], mirror_of: a, keyspaces: []}\n", [2]string{"a"}), `3 clusters[1].mirror_of: this cluster counts no prefix`},
		{"a list", mirrored("  - {name: b, endpoints: ['http://h:9'], mirror_of: [a]}\n", [2]string{"a"}), `3 clusters[1].mirror_of: must be`},
		{"misspelt", mirrored("  - {name: b, endpoints: ['http://h:9'], mirrorof: a}\n", [2]string{"a"}), `3 clusters[1].mirrorof: did you mean mirror_of?`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("etcdops.yml", test.text)
			wantFaults(t, err, test.want)
		})
	}
}

// A mirror of a mirror is a way to reach a third place. What is compared are the
// prefixes that both count, and those of the source are a part of what a reload sees.
func TestMirrorPrefixes(t *testing.T) {
	parse := func(source string) Cluster {
		t.Helper()
		v, err := Parse("etcdops.yml", mirrored("  - {name: src, endpoints: ['http://h:9'], keyspaces: ["+source+"]}\n", [2]string{"third", "dr"}, [2]string{"dr", "src"}))
		if err != nil {
			t.Fatal(err)
		}
		if v.Clusters[0].MirrorOf != "dr" || fmt.Sprint(v.Clusters[0].MirrorPrefixes) != "[/registry/ /registry/events/]" || v.Clusters[2].MirrorPrefixes != nil {
			t.Errorf("the third compares %v with %s; the source itself compares %v", v.Clusters[0].MirrorPrefixes, v.Clusters[0].MirrorOf, v.Clusters[2].MirrorPrefixes)
		}
		return v.Clusters[1]
	}
	before, after := parse("{prefix: /registry/}, {prefix: /app/}"), parse("{prefix: /registry/}, {prefix: /registry/events/}")
	if got := fmt.Sprint(before.MirrorPrefixes, after.MirrorPrefixes); got != "[/registry/] [/registry/ /registry/events/]" {
		t.Errorf("compared: %s", got)
	}
	if before.Equal(after) {
		t.Error("a reload would go on with the old prefixes")
	}
}
