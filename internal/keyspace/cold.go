// SPDX-License-Identifier: Apache-2.0

package keyspace

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
)

const (
	// leastKeyBytes is less than any key takes of a database: page slot, revision,
	// protobuf fields, and the key itself.
	leastKeyBytes = 48

	hintBytes  = 2 << 20     // of watched keys and values, each time
	hintKeys   = 4000        // that are enough
	hintTime   = time.Second // that a watch may take: etcd looks every 100 ms
	atOnce     = 50 * time.Millisecond
	firstDepth = 64   // revisions that the first watch goes back
	mostDepth  = 2000 // and the last one
	likeEdges  = 64   // that a group takes over from the others
	namesMost  = 2000 // namespaces that are listed
)

// errEnough ends a watch.
var errEnough = errors.New("enough")

// cold cuts a prefix of which nothing is known.
func (s *scan) cold() ([]piece, error) {
	status, err := s.api.Status(s.ctx)
	if err != nil {
		status = etcd.Status{} // a hint less
	}
	if status.DBInUse > 0 && status.DBInUse/leastKeyBytes <= maxWalk {
		pieces, _, err := s.look(s.c.whole)
		return pieces, err
	}
	hints := s.hints(status.Revision)
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	// Twice as many keys as the database would hold if all were as small as the
	// smaller of those written lately.
	if len(hints.keys) > 0 && status.DBInUse > 0 && 2*status.DBInUse/hints.small() <= 2*maxWalk {
		pieces, _, err := s.look(s.c.whole)
		return pieces, err
	}
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	known := hints.thin(int(status.DBInUse / leastKeyBytes / aim))
	for _, place := range s.c.hinted {
		if s.c.whole.contains(place) {
			known = append(known, place)
		}
	}
	slices.SortFunc(known, bytes.Compare)
	known = slices.CompactFunc(known, bytes.Equal)
	for _, key := range known {
		if group, leaf := s.c.groupOf(key); !leaf {
			s.alike = append(s.alike, key[len(s.c.prefix)+len(group)+1:])
		}
	}
	for i := 1; i < 4 && len(s.alike) >= 4; i++ {
		s.tails = append(s.tails, s.alike[i*len(s.alike)/4])
	}
	return s.byNames(s.c.whole, names, known)
}

// hints are keys that exist, or did lately.
type hints struct {
	keys  [][]byte
	sizes []int // of keys and values
	alive bool  // the member has sent all there is, or is able to
}

// small is how many bytes of the database one of the smaller keys takes, about.
func (h hints) small() int64 {
	sizes := slices.Sorted(slices.Values(h.sizes))
	return int64(sizes[len(sizes)/5]) + leastKeyBytes
}

// thin leaves some of the keys, in order, spread as they are.
func (h hints) thin(most int) [][]byte {
	keys := slices.CompactFunc(slices.SortedFunc(slices.Values(h.keys), bytes.Compare), bytes.Equal)
	most = min(max(most, 16), 400)
	if len(keys) <= most {
		return keys
	}
	kept := make([][]byte, most)
	for i := range kept {
		kept[i] = keys[i*len(keys)/most]
	}
	return kept
}

// hints watches from a little before the head: 64 revisions tell how many keys one
// revision has, and then as far back as 4,000 keys need, but at most 2,000. The
// member reads all that lies in between, and much of it twice, so no further. Where
// they show nothing others than the prefix were written: it goes back twice as far each
// time, and no further at once, since etcd's work to send more than 2 MB grows with the
// square of the changes; not where the member did not answer at all and may be busy.
func (s *scan) hints(head int64) hints {
	if head <= 1 || s.c.excluded() || s.c.above() { // a watch always brings values
		return hints{}
	}
	all := s.recent(head, firstDepth)
	for depth := int64(firstDepth); s.ctx.Err() == nil && (len(all.keys) > 0 || all.alive); {
		deeper, shown := 2*depth, int64(len(all.keys))
		if shown > 0 {
			deeper = hintKeys * depth / shown
		}
		if deeper = min(deeper, mostDepth, head-1); deeper < depth+depth/2 {
			break
		}
		got := s.recent(head, deeper)
		if shown > 0 && int64(len(got.keys)) <= shown {
			break
		}
		all, depth = got, deeper
	}
	return all
}

// recent watches from depth revisions ago up to the head, less where the history is
// compacted: the newest revision is always there. A watch always brings values, so it
// leaves the excluded groups out, and looks at what lies around them side by side.
func (s *scan) recent(head, depth int64) hints {
	parts := s.watchable()
	found := make([]hints, len(parts))
	var watches sync.WaitGroup
	for i, part := range parts {
		watches.Go(func() {
			for back := depth; ; back /= 5 {
				err := s.watch(part, max(head-back, 1), head, &found[i])
				if back == 0 || !errors.Is(err, etcd.ErrCompacted) {
					return
				}
			}
		})
	}
	watches.Wait()
	got := hints{alive: true}
	for _, h := range found {
		got.keys, got.sizes, got.alive = append(got.keys, h.keys...), append(got.sizes, h.sizes...), got.alive && h.alive
	}
	return got
}

func (s *scan) watch(part span, from, head int64, got *hints) error {
	ctx, cancel := context.WithTimeout(s.ctx, hintTime)
	defer cancel()
	bytesLeft, begun := hintBytes, time.Now()
	return s.api.Watch(ctx, part.question(), from, func(batch etcd.WatchBatch) error {
		if len(batch.Keys) == 0 {
			got.alive = true
			if time.Since(begun) > atOnce {
				return errEnough
			}
			return nil // an old member says so before it has looked
		}
		last := int64(0)
		for _, kv := range batch.Keys {
			if last = kv.ModRevision; kv.Deleted || !part.contains(kv.Key) {
				continue
			}
			got.keys = append(got.keys, bytes.Clone(kv.Key))
			got.sizes = append(got.sizes, len(kv.Key)+len(kv.Value))
		}
		bytesLeft -= batch.Bytes
		if last >= head || bytesLeft <= 0 || len(got.keys) > 4*hintKeys {
			return errEnough
		}
		return nil
	})
}

// watchable is the prefix without the groups that must not be read.
func (s *scan) watchable() []span {
	names := slices.Sorted(slices.Values(s.c.options.SampleExclude))
	var parts []span
	rest := s.c.whole
	for _, name := range names {
		if group := s.c.groupSpan([]byte(name)); !group.and(rest).empty() {
			parts = append(parts, span{rest.from, group.from})
			rest.from = group.to
		}
	}
	return append(parts, rest)
}

// names are groups that Kubernetes may have under this prefix, in the order of
// their keys: the usual resources below /registry/, its namespaces below a resource.
func (s *scan) names() ([][]byte, error) {
	const root, namespaces = "/registry/", "/registry/namespaces/"
	rest, ok := bytes.CutPrefix([]byte(s.c.prefix), []byte(root))
	if !ok || bytes.Count(rest, []byte("/")) > 1 {
		return nil, nil
	}
	if len(rest) > 0 && rest[len(rest)-1] != '/' {
		return nil, nil
	}
	got, err := s.first(prefixSpan(namespaces), namesMost)
	if errors.Is(err, etcd.ErrPermissionDenied) {
		return nil, nil // the user may read this prefix all the same
	}
	if err != nil {
		return nil, err
	}
	var names [][]byte
	for _, key := range got.keys {
		if name := key[len(namespaces):]; bytes.IndexByte(name, '/') < 0 {
			names = append(names, name)
		}
	}
	switch {
	case len(rest) == 0 && len(names) > 0:
		names = resources()
	case len(rest) > 0 && len(names) == 0:
		names = usualNamespaces()
	}
	slices.SortFunc(names, func(a, b []byte) int {
		return bytes.Compare(s.c.groupSpan(a).from, s.c.groupSpan(b).from)
	})
	return names, nil
}

// byNames explores what lies below each name, and then what lies between them.
func (s *scan) byNames(whole span, names, hints [][]byte) ([]piece, error) {
	inner := make([][]piece, len(names))
	for i, name := range names {
		var err error
		if inner[i], err = s.group(name, s.c.groupSpan(name).and(whole), hints); err != nil {
			return nil, err
		}
	}
	var out []piece
	from := whole.from
	for i, name := range names {
		group := s.c.groupSpan(name)
		gap, err := s.region(span{from, group.from}, hints)
		if err != nil {
			return nil, err
		}
		out = append(append(out, gap...), inner[i]...)
		from = group.to
	}
	last, err := s.region(span{from, whole.to}, hints)
	return append(out, last...), err
}

// group explores what lies below a name. Where no key of it is known, its keys may be
// like those of other groups: those serve as edges, whether or not there are such keys.
func (s *scan) group(name []byte, part span, hints [][]byte) ([]piece, error) {
	known := slices.ContainsFunc(hints, part.contains)
	if known || len(s.alike) == 0 {
		return s.region(part, hints)
	}
	var edges [][]byte
	for i := range min(len(s.alike), likeEdges) {
		tail := s.alike[i*len(s.alike)/min(len(s.alike), likeEdges)]
		edges = append(edges, slices.Concat([]byte(s.c.prefix), name, []byte("/"), tail))
	}
	slices.SortFunc(edges, bytes.Compare)
	edges = slices.CompactFunc(edges, bytes.Equal)
	middle, err := s.across(edges)
	if err != nil {
		return nil, err
	}
	if total(middle) == 0 { // no such group, or it has nothing in common with the others
		return s.region(part, nil)
	}
	return s.outward(part, edges, middle)
}

// region explores a span from the hints that lie in it.
func (s *scan) region(part span, hints [][]byte) ([]piece, error) {
	var inside [][]byte
	for _, key := range hints {
		if part.contains(key) {
			inside = append(inside, key)
		}
	}
	if len(inside) == 0 {
		pieces, _, err := s.look(part)
		return pieces, err
	}
	return s.around(part, inside)
}

// usualNamespaces are tried where there is no list of them.
func usualNamespaces() [][]byte {
	return bytes.Fields([]byte(`cert-manager default ingress-nginx istio-system kube-node-lease kube-public kube-system logging monitoring`))
}

// resources are what the keys of a Kubernetes cluster begin with below /registry/.
func resources() [][]byte {
	return bytes.Fields([]byte(`
		apiextensions.k8s.io apiregistration.k8s.io certificatesigningrequests clusterrolebindings
		clusterroles configmaps controllerrevisions cronjobs csinodes daemonsets deployments
		endpoints endpointslices events flowschemas horizontalpodautoscalers ingress ingressclasses jobs
		leases limitranges masterleases minions mutatingwebhookconfigurations namespaces
		networkpolicies persistentvolumeclaims persistentvolumes poddisruptionbudgets pods
		podtemplates priorityclasses prioritylevelconfigurations ranges replicasets resourcequotas
		rolebindings roles runtimeclasses secrets serviceaccounts services statefulsets
		storageclasses validatingwebhookconfigurations volumeattachments`))
}
