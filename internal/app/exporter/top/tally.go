// SPDX-License-Identifier: Apache-2.0

package top

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
)

// Bounds of memory: together about 20 MB at the very worst, whatever is written.
const (
	keyCounters   = 4096
	maxResources  = 2000
	maxNamespaces = 10000
	maxReasons    = 2000
	maxTypes      = 20
	maxName       = 256 // bytes of a name that are kept

	// maxDecoded bounds the events that are decoded in one second, about 10 us
	// each: who lags behind makes the server keep what was not fetched yet.
	maxDecoded = 5000
)

// tally is what was counted.
type tally struct {
	total                 figures
	resources, namespaces *table
	keys, keysByBytes     *sketch
	encrypted             uint64 // values
	events                eventTally
}

// eventTally is what was counted of the keys that should hold events. Only those
// that were put have a value to be decoded.
type eventTally struct {
	total                   figures
	decoded                 figures
	encrypted, odd, skipped uint64 // puts that were not decoded, by why
	types, reasons, sources *table
	objects                 *sketch

	second  int64 // since the epoch
	already int   // decoded in this second
}

func newTally() *tally {
	return &tally{
		resources: newTable(maxResources), namespaces: newTable(maxNamespaces),
		keys: newSketch(keyCounters, byWrites), keysByBytes: newSketch(keyCounters, byBytes),
		events: eventTally{
			types: newTable(maxTypes), reasons: newTable(maxReasons), sources: newTable(maxReasons),
			objects: newSketch(keyCounters, byWrites),
		},
	}
}

// add counts one change.
func (t *tally) add(kv etcd.KeyValue, now time.Time) {
	c := figures{writes: 1}
	switch {
	case kv.Deleted:
		c.deleted = 1
	default:
		c.value = uint64(len(kv.Value))
		c.bytes = uint64(len(kv.Key)) + c.value
		if kv.Created {
			c.created = 1
		}
	}
	t.total.add(c)
	where := kubernetes.ParseKey(kv.Key)
	t.resources.add(bounded(where.Resource), c)
	t.namespaces.add(orNone(bounded(where.Namespace)), c)
	key := bounded(string(kv.Key))
	t.keys.add(key, c)
	t.keysByBytes.add(key, c)
	if bytes.HasPrefix(kv.Value, []byte("k8s:enc:")) {
		t.encrypted++
	}
	// Not by ParseKey's resource: below another --etcd-prefix there are events too.
	if bytes.Contains(kv.Key, []byte("/events/")) {
		t.events.add(kv, c, now)
	}
}

func (t *eventTally) add(kv etcd.KeyValue, c figures, now time.Time) {
	t.total.add(c)
	if kv.Deleted {
		return
	}
	if t.second != now.Unix() {
		t.second, t.already = now.Unix(), 0
	}
	if t.already++; t.already > maxDecoded {
		t.skipped++
		return
	}
	event, err := kubernetes.DecodeEvent(kv.Value)
	switch {
	case errors.Is(err, kubernetes.ErrEncrypted):
		t.encrypted++
		return
	case err != nil:
		t.odd++
		return
	}
	t.decoded.add(c)
	t.types.add(orNone(bounded(event.Type)), c)
	t.reasons.add(orNone(bounded(event.Reason)), c)
	t.sources.add(orNone(bounded(event.Component)), c)
	t.objects.add(bounded(objectName(event.InvolvedObject)), c)
}

// objectName is "Pod default/web-0", and "Node worker-1" without a namespace.
func objectName(o kubernetes.Object) string {
	name := o.Kind + " "
	if o.Namespace != "" {
		name += o.Namespace + "/"
	}
	return name + o.Name
}

func orNone(name string) string {
	if name == "" {
		return "(none)"
	}
	return name
}

// bounded keeps the first bytes of a long name, and a hash by which two of them
// are told apart. It copies, so that a whole value is not held by its name.
func bounded(name string) string {
	if len(name) <= maxName {
		return name
	}
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // it cannot fail
	return fmt.Sprintf("%s~%016x", name[:maxName-17], sum.Sum64())
}
