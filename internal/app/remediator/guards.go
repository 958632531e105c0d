// SPDX-License-Identifier: Apache-2.0

package remediator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/etcdops/etcdops/internal/config"
	"github.com/etcdops/etcdops/remediate"
	"github.com/etcdops/etcdops/remediate/guard"
)

// guards are all of them, for a configuration.
func (c *clusters) guards(r *config.Remediation) ([]remediate.Guard, error) {
	open, err := windows(r)
	if err != nil {
		return nil, err
	}
	o := guard.Options{Windows: open, Aside: r.Election.Enabled && c.idle}
	if r.Election.Enabled && !c.idle {
		o.Election = c
	}
	if r.Prometheus.URL != "" {
		if o.Query, err = query(r.Prometheus.URL); err != nil {
			return nil, fmt.Errorf("remediation.prometheus.url: %w", err)
		}
	}
	return guard.All(o), nil
}

// query asks Prometheus how much an expression returns. A scalar counts as one, an
// answer with warnings, which may be partial, as an error.
func query(url string) (func(ctx context.Context, promql string) (int, error), error) {
	client, err := api.NewClient(api.Config{Address: url, Client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}, // no proxy variable is read
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, err
	}
	prometheus := promv1.NewAPI(client)
	return func(ctx context.Context, promql string) (int, error) {
		value, warnings, _, err := prometheus.Query(ctx, promql, time.Now())
		if err != nil {
			return 0, err
		}
		if len(warnings) > 0 {
			return 0, errors.New(warnings[0])
		}
		switch v := value.(type) {
		case model.Vector:
			return len(v), nil
		case model.Matrix:
			return len(v), nil
		case *model.Scalar, *model.String:
			return 1, nil
		default:
			return 0, fmt.Errorf("an answer of the type %s", value.Type())
		}
	}, nil
}
