// SPDX-License-Identifier: Apache-2.0

package notify

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/etcdops/etcdops/internal/display"
	"github.com/etcdops/etcdops/remediate"
)

const (
	// alertName is the alert that tells of a run.
	alertName = "EtcdRemediationDone"
	// alertFor is how long that alert fires: longer than a usual group_interval, so
	// that it is delivered once.
	alertFor = 15 * time.Minute

	maxText = 1000 // characters of a reason
)

// worthAlert leaves out what changed nothing and asks for nothing: refusals are
// tried again every few minutes, and the metrics count them.
func worthAlert(r *remediate.Run) bool {
	switch r.Outcome {
	case remediate.Refused, remediate.NothingToDo:
		return r.Applied()
	default:
		return true
	}
}

// worthAnnotation leaves out what left no trace in etcd: a mark on a graph is for
// what may be seen there.
func worthAnnotation(r *remediate.Run) bool { return r.Applied() }

// alert is what Alertmanager's API takes, version 2.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

func alertmanager(base string, now func() time.Time) func(context.Context, *remediate.Run) (*http.Request, error) {
	return func(ctx context.Context, r *remediate.Run) (*http.Request, error) {
		return post(ctx, base+"/api/v2/alerts", []alert{newAlert(now(), r)})
	}
}

func newAlert(now time.Time, r *remediate.Run) alert {
	severity := "info"
	switch r.Outcome {
	case remediate.Failed, remediate.Interrupted, remediate.AwaitingApproval:
		severity = "warning"
	}
	a := alert{
		Labels: map[string]string{
			"alertname": alertName, "cluster": r.Cluster, "policy": r.Policy, "action": r.Action,
			"outcome": string(r.Outcome), "severity": severity,
		},
		Annotations: map[string]string{
			"summary": "A run of etcd_remediator came to an outcome.", "description": describe(r), "run_id": r.ID,
		},
		StartsAt: now, EndsAt: now.Add(alertFor),
	}
	if r.Policy == "" {
		delete(a.Labels, "policy") // by hand
	}
	return a
}

// describe tells in a few sentences what was done.
func describe(r *remediate.Run) string {
	out := []string{fmt.Sprintf("%s of %s: %s", r.Action, r.Cluster, strings.ReplaceAll(string(r.Outcome), "_", " "))}
	if reason := display.Clean(r.Reason, maxText); reason != "" {
		out[0] += ", " + reason
	}
	if n := r.Reclaimed(); n > 0 {
		out = append(out, strings.ReplaceAll(display.Size(n), "\u00a0", " ")+" reclaimed")
	}
	if n := r.Pruned(); n > 0 {
		out = append(out, display.Count(n, "key", "keys")+" deleted")
	}
	if n := len(r.Steps); n > 0 {
		out = append(out, display.Count(int64(n), "step", "steps"))
	}
	if r.Outcome == remediate.AwaitingApproval {
		out = append(out, "approve with: etcd_remediator approve "+r.ID)
	}
	return strings.Join(out, "; ")
}

// annotation is what Grafana's API takes.
type annotation struct {
	Time    int64    `json:"time"`    // Unix milliseconds
	TimeEnd int64    `json:"timeEnd"` // likewise
	Tags    []string `json:"tags"`
	Text    string   `json:"text"`
}

func grafana(base, tokenFile string) func(context.Context, *remediate.Run) (*http.Request, error) {
	return func(ctx context.Context, r *remediate.Run) (*http.Request, error) {
		request, err := post(ctx, base+"/api/annotations", newAnnotation(r))
		if err != nil {
			return nil, err
		}
		token, err := os.ReadFile(tokenFile)
		if err != nil {
			if cause, ok := errors.AsType[*fs.PathError](err); ok {
				err = cause.Err // its text would repeat the file's name, which may be the token itself
			}
			return nil, fmt.Errorf("read grafana's token_file: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		return request, nil
	}
}

func newAnnotation(r *remediate.Run) annotation {
	began, ended := cmp.Or(r.StartedAt, r.AcceptedAt), cmp.Or(r.FinishedAt, r.StartedAt, r.AcceptedAt)
	return annotation{
		Time: began.UnixMilli(), TimeEnd: ended.UnixMilli(), Text: describe(r) + " (run " + r.ID + ")",
		Tags: []string{"etcd_remediator", "cluster:" + r.Cluster, "action:" + r.Action, "outcome:" + string(r.Outcome)},
	}
}

func post(ctx context.Context, url string, body any) (*http.Request, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	return http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
}
