// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	putsPerSecond = 200
	writerKeys    = 2000 // that are written again and again: the key space stays as large as it is
	writerTime    = 15 * time.Second
)

// writer measures what a writer on the asked member sees while nobody asks, and
// while scans follow each other without a pause between them.
func (k *keySpace) writer(ctx context.Context) error {
	counter := k.counter()
	warm := func(ctx context.Context) error { _, err := counter.Scan(ctx, k.scanner); return err }
	cold := func(ctx context.Context) error { _, err := k.counter().Scan(ctx, k.scanner); return err }
	listing := func(ctx context.Context) error { _, err := k.listing(ctx); return err }
	if err := warm(ctx); err != nil {
		return err
	}
	loads := []struct {
		name  string
		turns int // 0: each
		load  func(context.Context) error
	}{
		{warmWay + "s", 0, warm},
		{coldWay + "s", 0, cold},
		{"CountOnly of all", 1, k.countOnly},
		{"etcdctl's listing", 1, listing},
	}
	ratios, p99s := map[string][]float64{}, map[string][]float64{}
	var idle []float64
	for turn := range k.o.runs {
		still, err := k.put(ctx)
		if err != nil {
			return err
		}
		idle = append(idle, p99(still))
		for _, l := range loads {
			if l.turns > 0 && turn >= l.turns {
				continue
			}
			busy, err := k.under(ctx, l.load)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			p99s[l.name] = append(p99s[l.name], p99(busy))
			ratios[l.name] = append(ratios[l.name], p99(busy)/p99(still))
		}
	}
	fmt.Printf("writer, %d put/s, p99:        %.1f ms idle (%s)\n", putsPerSecond, median(idle), list(idle))
	for _, l := range loads {
		fmt.Printf("  %-28s %.1f ms (%s), %.1f x idle turn by turn (%s)\n", l.name+":",
			median(p99s[l.name]), list(p99s[l.name]), median(ratios[l.name]), list(ratios[l.name]))
	}
	return nil
}

// under puts while something is done over and over.
func (k *keySpace) under(ctx context.Context, load func(context.Context) error) ([]float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		for {
			err := load(ctx)
			if ctx.Err() != nil {
				err = nil
			}
			if err != nil || ctx.Err() != nil {
				failed <- err
				return
			}
		}
	}()
	took, err := k.put(ctx)
	cancel()
	if bad := <-failed; bad != nil {
		return nil, bad
	}
	return took, err
}

// put writes for a while and gives what each put took, in milliseconds. A put that
// takes long does not put off the next.
func (k *keySpace) put(ctx context.Context) ([]float64, error) {
	const gap = time.Second / putsPerSecond
	took := make([]float64, int(writerTime/gap))
	errs := make([]error, len(took))
	value := strings.Repeat("v", 700)
	begin := time.Now()
	var puts sync.WaitGroup
	for i := range took {
		if err := sleep(ctx, time.Until(begin.Add(time.Duration(i)*gap))); err != nil {
			return nil, err
		}
		puts.Go(func() {
			key := fmt.Sprintf("%steam-%03d/writer-%04d", eventsPrefix, i%eventNamespaces, i%writerKeys)
			sent := time.Now()
			_, errs[i] = k.client.Put(ctx, key, value)
			took[i] = float64(time.Since(sent)) / milli
		})
	}
	puts.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

func p99(all []float64) float64 { return slices.Sorted(slices.Values(all))[len(all)*99/100] }

// list shows single runs.
func list(all []float64) string {
	var texts []string
	for _, v := range all {
		texts = append(texts, fmt.Sprintf("%.1f", v))
	}
	return strings.Join(texts, " ")
}
