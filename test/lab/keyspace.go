// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"math/rand/v2"
)

// letters are those of Kubernetes' generated names.
const letters = "bcdfghjklmnpqrstvwxz2456789"

// storagePrefix starts every value that Kubernetes stores as protobuf.
const storagePrefix = "k8s\x00"

// resource is a kind of key: how many of twenty keys are of it, how large its
// values are, and how its keys look.
type resource struct {
	share, bytes int
	key          func(namespace, name string) string
}

var resources = []resource{
	{10, 6000, below("/registry/pods/")},
	{3, 1500, below("/registry/configmaps/")},
	{3, 1200, below("/registry/secrets/")},
	{2, 800, below("/registry/services/specs/")},
	{1, 300, below("/registry/leases/")},
	{1, 8000, func(_, name string) string { return "/registry/minions/node-" + name }},
}

var event = resource{1, 700, below("/registry/events/")}

var apps = []string{"api", "web", "worker", "cache", "ingest", "billing", "search", "auth", "mail", "cron"}

func below(prefix string) func(namespace, name string) string {
	return func(namespace, name string) string { return prefix + namespace + "/" + name }
}

// keySpace makes up the keys of a LoadOptions, each from the seed and its
// index alone.
type keySpace struct {
	options LoadOptions
	kinds   []resource // one for each of twenty consecutive keys
	random  *rand.ChaCha8
}

func newKeySpace(options LoadOptions) *keySpace {
	if options.Namespaces <= 0 {
		options.Namespaces = 20
	}
	k := &keySpace{options: options, random: rand.NewChaCha8([32]byte{byte(options.Seed)})}
	for _, r := range resources {
		for range r.share {
			k.kinds = append(k.kinds, r)
		}
	}
	return k
}

// at returns key i: first those that are no events, then the events.
func (k *keySpace) at(i int) (key, value string) {
	random := rand.New(rand.NewPCG(k.options.Seed, uint64(i)))
	// Squaring makes the first namespaces the largest, as they are in life.
	share := random.Float64() * random.Float64()
	namespace := fmt.Sprintf("team-%03d", int(share*float64(k.options.Namespaces)))
	app := apps[random.IntN(len(apps))]
	// The index makes the name unique, the letters make it look the part.
	name := fmt.Sprintf("%s-%s-%s", app, spell(uint64(i)+1), spell(random.Uint64()%14348907)) // 27^5
	kind := event
	if i < k.options.Keys {
		kind = k.kinds[i%len(k.kinds)]
	} else {
		name += fmt.Sprintf(".%016x", random.Uint64())
	}
	mean := kind.bytes
	if k.options.ValueBytes > 0 {
		mean = k.options.ValueBytes
	}
	data := make([]byte, mean/2+random.IntN(mean+1))
	copy(data, storagePrefix)
	if len(data) > len(storagePrefix) {
		_, _ = k.random.Read(data[len(storagePrefix):])
	}
	return kind.key(namespace, name), string(data)
}

// spell writes a number in Kubernetes' letters.
func spell(number uint64) string {
	var text []byte
	for ; number > 0 || text == nil; number /= uint64(len(letters)) {
		text = append(text, letters[number%uint64(len(letters))])
	}
	return string(text)
}
