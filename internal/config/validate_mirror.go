// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
)

// mirrors checks whose mirror each cluster is said to be, and finds what both count.
func (c *checker) mirrors(clusters []Cluster) {
	for i := range clusters {
		mirror := &clusters[i]
		if mirror.MirrorOf == "" {
			continue
		}
		path := fmt.Sprintf("clusters[%d].mirror_of", i)
		source := named(clusters, mirror.MirrorOf)
		switch {
		case mirror.MirrorOf == mirror.Name:
			c.fault(path, "%s is this cluster itself: name the one that it is a copy of", quote(mirror.Name))
		case source == nil:
			c.fault(path, "no cluster is called %s: name one of those under clusters", quote(mirror.MirrorOf))
		case endless(clusters, *mirror):
			c.fault(path, "%s is itself a mirror of this one in the end, so that each write would go round for ever: remove mirror_of from the one that is written to", quote(source.Name))
		default:
			c.mirror(path, mirror, *source)
		}
	}
}

func (c *checker) mirror(path string, mirror *Cluster, source Cluster) {
	for _, url := range source.Endpoints {
		if url != "" && slices.Contains(mirror.Endpoints, url) {
			c.fault(path, "both have the endpoint %s: a mirror is another cluster", quote(url))
			return
		}
	}
	for _, k := range mirror.Keyspaces {
		if slices.ContainsFunc(source.Keyspaces, func(o Keyspace) bool { return o.Prefix == k.Prefix }) {
			mirror.MirrorPrefixes = append(mirror.MirrorPrefixes, k.Prefix)
		}
	}
	if len(mirror.MirrorPrefixes) == 0 {
		c.fault(path, "this cluster counts no prefix that %s counts: write the same prefix under keyspaces of both", quote(source.Name))
	}
}

// endless says whether the mirrors that begin with this one come back to it. A mirror
// of a mirror is none of that.
func endless(clusters []Cluster, mirror Cluster) bool {
	at := &mirror
	for range clusters {
		if at = named(clusters, at.MirrorOf); at == nil {
			return false
		}
		if at.Name == mirror.Name {
			return true
		}
	}
	return false // it leads into a ring of others, which have their own fault
}

// named finds a cluster, nil where there is none or no name.
func named(clusters []Cluster, name string) *Cluster {
	i := slices.IndexFunc(clusters, func(c Cluster) bool { return c.Name == name && name != "" })
	if i < 0 {
		return nil
	}
	return &clusters[i]
}
