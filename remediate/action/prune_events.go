// SPDX-License-Identifier: Apache-2.0

package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etcdops/etcdops/internal/etcd"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// deleteTime bounds one transaction. It is not cut short when the run is told to
	// stop: what became of it must be known.
	deleteTime = 15 * time.Second
	planLooks  = 5  // stretches that a plan looks into; the rest it counts
	verified   = 20 // deleted keys that are asked for afterwards
)

// pruneEvents deletes old Kubernetes events, a stretch of the key space at a time.
//
// Whatever the configuration says, a key goes only if it lies below a prefix of
// events, its value was an event of that very name (or opaque, where the policy
// accepts that), its last change is old, and it still is the last change when the
// member carries the delete out.
type pruneEvents struct {
	prefix eventsPrefix
	edges  [][]byte // where windows begin; nil: the key space was not cut yet
	total  int64    // keys below the prefix when it was cut
	next   []byte   // where the next stretch begins; nil: all were looked at
	plan   inPlan
	pace   *pace
	single bool // the member refuses transactions of several deletes
}

// inPlan is what the first looks of a plan found.
type inPlan struct {
	looks     int
	keys, old int64
}

func newPruneEvents() *pruneEvents { return &pruneEvents{} }

// Name implements remediate.Action.
func (*pruneEvents) Name() string { return remediate.ActionPruneEvents }

// Plan implements remediate.Action. It reads the values of the next stretch that has
// anything to delete. A plan that is not carried out looks into the first few alone.
func (p *pruneEvents) Plan(ctx context.Context, c *remediate.Cluster) (*remediate.Step, error) {
	if err := p.check(c); err != nil {
		return nil, err
	}
	left := int64(c.Policy.PruneEvents.MaxKeys) - planned(c.Run)
	if left <= 0 {
		return nil, nil
	}
	ages, err := readAges(c)
	if err != nil {
		return nil, err
	}
	reader, ok := c.Seen.Reader()
	if !ok {
		return nil, refuse(refusedPlan, soon, "no voter answers its Status and a read")
	}
	api := c.Live.Scan(reader.URL)
	if api == nil {
		return nil, refuse(refusedPlan, soon, "%s is no endpoint any more", reader.URL)
	}
	if err := p.begin(ctx, api); err != nil {
		return nil, fmt.Errorf("plan a prune at %s: %w", reader.Label(), err)
	}
	j := judge{p.prefix, ages, c.Policy.PruneEvents.AcceptOpaqueValues}
	for p.next != nil {
		if !c.Acting && p.plan.looks == planLooks {
			return p.rest(ctx, c, reader, api, left)
		}
		found, err := p.look(ctx, api, j, p.next, int(left), c.Acting)
		if err != nil {
			return nil, err
		}
		if !c.Acting {
			p.plan = inPlan{p.plan.looks + 1, p.plan.keys + found.looked, p.plan.old + int64(len(found.keys))}
		}
		if !c.Acting || len(found.keys) == 0 {
			p.next = found.next
		}
		if len(found.keys) > 0 {
			return p.step(c, reader, found), nil
		}
	}
	return nil, nil
}

// check looks at the policy once more, before anything is asked.
func (p *pruneEvents) check(c *remediate.Cluster) error {
	policy := c.Policy.PruneEvents
	if policy == nil {
		return refuse(refusedPlan, 0, "the policy has no prune_events, so nothing may be deleted")
	}
	if policy.MaxKeys <= 0 || policy.KeysPerSecond <= 0 {
		return refuse(refusedPlan, 0, "max_keys (%d) and keys_per_second (%d) must be above 0", policy.MaxKeys, policy.KeysPerSecond)
	}
	prefix, err := parseEventsPrefix(policy.Prefix)
	if err != nil {
		return refuse(refusedPlan, 0, "%s", err)
	}
	if p.edges != nil && prefix != p.prefix {
		return errors.New("the prefix changed in the middle of a run")
	}
	p.prefix = prefix
	return nil
}

// begin cuts the key space, once a run.
func (p *pruneEvents) begin(ctx context.Context, api etcd.ScanAPI) (err error) {
	if p.edges != nil {
		return nil
	}
	if p.edges, p.total, err = cut(ctx, api, p.prefix); err != nil {
		p.edges = nil
		return err
	}
	p.next = p.edges[0]
	return nil
}

// planned is how many keys the steps of the run deleted, or are to.
func planned(run *remediate.Run) (keys int64) {
	for _, s := range run.Steps {
		if s.Action == remediate.StepPrune {
			keys += s.Keys
		}
	}
	return keys
}

func (p *pruneEvents) step(c *remediate.Cluster, m remediate.Member, found *stretch) *remediate.Step {
	policy := c.Policy.PruneEvents
	s := remediate.MemberStep(remediate.StepPrune, m, "of %d keys below %s, %d are events whose last change is older than %s",
		found.looked, p.prefix.text, len(found.keys), policy.OlderThan)
	if found.opaque > 0 {
		s.Reason += fmt.Sprintf("; %d hold what nobody can read", found.opaque)
	}
	s.BeforeBytes, s.Keys, s.Kept, s.Detail = 0, int64(len(found.keys)), found.looked-int64(len(found.keys)), found
	return s
}

// rest tells in a plan what is beyond the stretches that were looked into.
func (p *pruneEvents) rest(ctx context.Context, c *remediate.Cluster, m remediate.Member, api etcd.ScanAPI, left int64) (*remediate.Step, error) {
	keys, err := p.count(ctx, api, p.next)
	if err != nil {
		return nil, err
	}
	if p.next = nil; keys == 0 {
		return nil, nil
	}
	about := min(int64(float64(keys)*float64(p.plan.old)/float64(max(p.plan.keys, 1))), left)
	s := remediate.MemberStep(remediate.StepPrune, m, "%d more keys below %s, of which about %d are to go if they are like the %d that were looked at; at most %d in all, by max_keys",
		keys, p.prefix.text, about, p.plan.keys, c.Policy.PruneEvents.MaxKeys)
	s.BeforeBytes, s.Keys = 0, about
	return s, nil
}

// Apply implements remediate.Action. When ctx ends, or the cluster suffers, it stops
// after the transaction that is under way; the step tells what was deleted by then.
func (p *pruneEvents) Apply(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	found, ok := s.Detail.(*stretch)
	if !ok {
		return errors.New("the step was not planned in this run")
	}
	if p.pace == nil {
		p.pace = newPace(c.Policy.PruneEvents.KeysPerSecond, c.Seen)
	}
	all := int64(len(found.keys))
	s.Keys, s.Kept = 0, found.looked
	gone := make([]bool, 0, len(found.keys))
	defer func() {
		s.Sample = found.sample.of(func(i int) bool { return i < len(gone) && gone[i] })
	}()
	for todo := found.keys; len(todo) > 0; todo = todo[min(p.pace.batch, len(todo)):] {
		batch := todo[:min(p.pace.batch, len(todo))]
		if err := p.ready(ctx, c, len(batch)); err != nil {
			return err
		}
		begun := time.Now()
		deleted, revision, err := p.delete(ctx, c, s.URL, batch)
		for _, one := range deleted {
			if one {
				s.Keys++
				s.Kept--
			}
		}
		gone = append(gone, deleted...)
		s.Revision = max(s.Revision, revision)
		c.Progress(s, int64(len(gone)), all)
		if err != nil {
			return fmt.Errorf("delete events at %s: %w", s.Member, err)
		}
		if err := p.pace.took(time.Now(), time.Since(begun)); err != nil {
			return err
		}
	}
	p.next = found.next
	return nil
}

// ready waits until the next transaction may be, and looks at the cluster first where
// that is due.
func (p *pruneEvents) ready(ctx context.Context, c *remediate.Cluster, keys int) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete events: %w", err)
	}
	if c.Orders != nil {
		if err := c.Orders(ctx); err != nil {
			return err
		}
	}
	if p.pace.due(time.Now()) {
		seen := c.Live.Observe(ctx, false)
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("delete events: %w", err)
		}
		if err := p.pace.saw(time.Now(), seen); err != nil {
			return err
		}
	}
	if err := p.pace.wait(ctx, keys); err != nil {
		return fmt.Errorf("delete events: %w", err)
	}
	return nil
}

// delete carries out one transaction. Nothing outside the prefix ever gets here, and
// nothing outside the prefix ever leaves.
func (p *pruneEvents) delete(ctx context.Context, c *remediate.Cluster, url string, batch []etcd.KeyValue) ([]bool, int64, error) {
	for _, kv := range batch {
		if !p.prefix.holds(kv.Key) || kv.ModRevision <= 0 {
			return nil, 0, fmt.Errorf("a key that is not below %s was to be deleted: this is a fault of ours", p.prefix.text)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTime)
	defer cancel()
	deleted, revision, err := c.Live.Delete(ctx, url, batch, p.single)
	if p.single || !errors.Is(err, etcd.ErrNoSpace) {
		return deleted, revision, err
	}
	p.single = true // refused before anything was done
	c.Log.Info("etcd refuses deletes in a transaction while its database is full; going on key by key", "url", url)
	return c.Live.Delete(ctx, url, batch, true)
}

// Verify implements remediate.Action: of the keys that were to go, some are asked for
// again, and none may be as it was. One that was written again is another.
func (p *pruneEvents) Verify(ctx context.Context, c *remediate.Cluster, s *remediate.Step) error {
	found, ok := s.Detail.(*stretch)
	api := c.Live.Scan(s.URL)
	if !ok || api == nil {
		return fmt.Errorf("%s is no endpoint any more", s.URL)
	}
	for i := 0; i < len(found.keys); i += max(len(found.keys)/verified, 1) {
		kv := found.keys[i]
		answer, err := api.Range(ctx, etcd.RangeQuestion{Span: etcd.Span{From: kv.Key}, Limit: 1, KeysOnly: true})
		if err != nil {
			return fmt.Errorf("ask %s for a deleted key: %w", s.Member, err)
		}
		if len(answer.Keys) > 0 && answer.Keys[0].ModRevision <= kv.ModRevision {
			return fmt.Errorf("%s still has a key that it was told to delete, unchanged", s.Member)
		}
	}
	s.Detail = nil // a run has many steps, and this one's keys are done with
	return nil
}
