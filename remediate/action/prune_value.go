// SPDX-License-Identifier: Apache-2.0

package action

import (
	"bytes"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/internal/keyspace/kubernetes"
)

// judge decides which keys may go, by what their values say.
type judge struct {
	prefix eventsPrefix
	ages   ages
	opaque bool // values that nobody can read may go as well
}

// goes says whether a key may be deleted. seen is the event that it holds; ok is
// false for a value that nobody can read.
func (j judge) goes(kv etcd.KeyValue) (goes bool, seen kubernetes.Event, ok bool) {
	if !j.prefix.holds(kv.Key) {
		return false, seen, true
	}
	seen, err := kubernetes.DecodeEvent(kv.Value)
	if err != nil {
		may := j.opaque && j.prefix.plain && !isReadable(kv.Value)
		return may && j.ages.old(kv.ModRevision), seen, false
	}
	return j.prefix.fits(kv.Key, seen) && j.ages.oldEvent(kv.ModRevision, seen), seen, true
}

// isReadable says whether a value that is no event says what it is instead: an
// object of another kind is not opaque, and never goes.
func isReadable(value []byte) bool {
	if bytes.HasPrefix(value, []byte("{")) {
		return true
	}
	stored, ok := bytes.CutPrefix(value, []byte("k8s\x00"))
	if !ok {
		return false
	}
	var envelope runtime.Unknown
	return unmarshal(&envelope, stored) && envelope.Kind != ""
}

// unmarshal runs generated code over bytes that anybody may have written.
func unmarshal(envelope *runtime.Unknown, data []byte) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return envelope.Unmarshal(data) == nil
}

// checkSample refuses a page some of whose sampled values (the first, the one in the
// middle, the last) are not events. The reason tells no key.
func (j judge) checkSample(page []etcd.KeyValue) error {
	if len(page) == 0 {
		return nil
	}
	sound := true
	for _, i := range []int{0, len(page) / 2, len(page) - 1} {
		if _, err := kubernetes.DecodeEvent(page[i].Value); err != nil {
			sound = false
		}
	}
	if sound {
		return nil
	}
	encrypted, foreign := 0, 0
	for _, kv := range page {
		switch _, err := kubernetes.DecodeEvent(kv.Value); {
		case errors.Is(err, kubernetes.ErrEncrypted):
			encrypted++
		case err != nil:
			foreign++
		}
	}
	reason := fmt.Sprintf("of %d values below %s, %d are encrypted at rest and %d are no Kubernetes Events", len(page), j.prefix.text, encrypted, foreign)
	switch {
	case !j.opaque:
		return refuse(refusedValues, 0, "%s: nobody can tell what would be deleted (accept_opaque_values is off)", reason)
	case !j.prefix.plain:
		return refuse(refusedValues, 0, "%s: they may go unseen only below a prefix such as /registry/events/, where nothing else can lie", reason)
	}
	return nil
}
