// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"slices"
	"time"
)

const (
	sampleEvery = 15 * time.Second // at most one reaches the file in it
	sampleAge   = 7 * day
	maxSamples  = 2048 // of a cluster; then they are thinned
)

// Sample says that a revision was current at a time or before.
type Sample struct {
	At        time.Time `json:"at"`
	ClusterID uint64    `json:"cluster_id"`
	Revision  int64     `json:"revision"`
}

type putSample struct {
	Cluster string `json:"cluster"`
	Sample
}

type dropSamples struct {
	Cluster string `json:"cluster"`
	Why     string `json:"why"`
}

// AddSample keeps a sample of the revision clock, at most one in 15 s. It does not wait,
// and a sample may be lost: an older one serves in its place.
func (j *Journal) AddSample(cluster string, clusterID uint64, at time.Time, revision int64) {
	j.mu.Lock()
	last, ok := j.offered[cluster]
	soon := ok && !at.Before(last) && at.Sub(last) < sampleEvery
	if !soon {
		j.offered[cluster] = at
	}
	j.mu.Unlock()
	if soon {
		return
	}
	r, err := j.request(entry{Sample: &putSample{cluster, Sample{at, clusterID, revision}}})
	if err != nil {
		return
	}
	r.lazy = true
	select {
	case j.queue <- r:
	case <-j.stop:
	default:
	}
}

// Samples gives a copy of what is kept, oldest first.
func (j *Journal) Samples(cluster string) []Sample {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if c, ok := j.state.Clusters[cluster]; ok {
		return slices.Clone(c.Samples)
	}
	return nil
}

// DropSamples forgets a cluster's samples, which may tell wrong times. After an error
// they are gone here, and come again only with a restart before the next successful
// write.
func (j *Journal) DropSamples(cluster, why string) error {
	err := j.wait(nil, entry{Drop: &dropSamples{cluster, why}})
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.offered, cluster)
	if c, ok := j.state.Clusters[cluster]; ok && err != nil {
		c.Samples = nil
	}
	return err
}

func (s *state) addSample(p *putSample) {
	c := s.cluster(p.Cluster)
	if n := len(c.Samples); n > 0 && !p.At.After(c.Samples[n-1].At) {
		return
	}
	c.Samples = append(c.Samples, p.Sample)
	if len(c.Samples) > maxSamples {
		c.Samples = thin(c.Samples)
	}
}

// thin makes samples the rarer the older they are. An older one in the place of one
// that is gone makes keys look younger than they are, which is safe.
func thin(all []Sample) []Sample {
	now := all[len(all)-1].At
	var sparse []Sample
	for i, s := range all {
		age := now.Sub(s.At)
		if age > sampleAge {
			continue
		}
		if n := len(sparse); n == 0 || i == len(all)-1 || s.At.Sub(sparse[n-1].At) >= grain(age) || s.ClusterID != sparse[n-1].ClusterID {
			sparse = append(sparse, s)
		}
	}
	return sparse[max(len(sparse)-maxSamples/4*3, 0):]
}

func grain(age time.Duration) time.Duration {
	switch {
	case age <= 15*time.Minute:
		return sampleEvery
	case age <= 6*time.Hour:
		return time.Minute
	default:
		return 10 * time.Minute
	}
}
