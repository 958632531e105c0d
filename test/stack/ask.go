// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const askTime = 5 * time.Second

// do asks for a URL and wants 200.
func do(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+token) // the remediator wants it, and the others do not mind
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.300s", method, url, response.Status, text)
	}
	return text, err
}

func get(ctx context.Context, url string, into any) error {
	text, err := do(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// Alert is an alert as Prometheus has it.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"` // pending, firing
	ActiveAt    time.Time         `json:"activeAt"`
}

// Name is the alert's name.
func (a Alert) Name() string { return a.Labels["alertname"] }

// Alerts are those that are pending or firing.
func (s *Stack) Alerts(ctx context.Context) ([]Alert, error) {
	var answer struct {
		Data struct {
			Alerts []Alert `json:"alerts"`
		} `json:"data"`
	}
	err := get(ctx, s.Prometheus.URL+"/api/v1/alerts", &answer)
	return answer.Data.Alerts, err
}

// Firing says whether an alert of that name fires.
func (s *Stack) Firing(ctx context.Context, name string) (bool, error) {
	alerts, err := s.Alerts(ctx)
	return slices.ContainsFunc(alerts, func(a Alert) bool { return a.Name() == name && a.State == "firing" }), err
}

// Jobs are those of deploy/prometheus.yml.
var Jobs = []string{"alertmanager", "etcd", "etcd_cluster", "etcd_exporter", "etcd_remediator", "prometheus"}

// scraped says what has not been scraped yet, or not well.
func (s *Stack) scraped(ctx context.Context) error {
	var answer struct {
		Data struct {
			ActiveTargets []struct {
				Labels    map[string]string `json:"labels"`
				Health    string            `json:"health"`
				LastError string            `json:"lastError"`
			} `json:"activeTargets"`
		} `json:"data"`
	}
	if err := get(ctx, s.Prometheus.URL+"/api/v1/targets?state=active", &answer); err != nil {
		return err
	}
	up := map[string]int{}
	for _, target := range answer.Data.ActiveTargets {
		if target.Health != "up" {
			return fmt.Errorf("%v is %s: %s", target.Labels, target.Health, target.LastError)
		}
		up[target.Labels["job"]]++
	}
	for _, job := range Jobs {
		if want := map[bool]int{true: len(s.Lab.Members()), false: 1}[job == "etcd"]; up[job] != want {
			return fmt.Errorf("job %s has %d targets, want %d", job, up[job], want)
		}
	}
	return nil
}

// Series counts the series that a query has had since then.
func (s *Stack) Series(ctx context.Context, query string, since time.Time) (int, error) {
	const points = 200
	now := time.Now()
	values := url.Values{
		"query": {query},
		"start": {fmt.Sprintf("%.3f", float64(since.UnixMilli())/1000)},
		"end":   {fmt.Sprintf("%.3f", float64(now.UnixMilli())/1000)},
		"step":  {fmt.Sprintf("%.3f", max(1, now.Sub(since).Seconds()/points))},
	}
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	err := get(ctx, s.Prometheus.URL+"/api/v1/query_range?"+values.Encode(), &answer)
	return len(answer.Data.Result), err
}

// Run is a run of the remediator, as far as it matters here.
type Run struct {
	ID         string    `json:"id"`
	Policy     string    `json:"policy"`
	Action     string    `json:"action"`
	Outcome    string    `json:"outcome"` // empty: it goes on
	Reason     string    `json:"reason"`
	AcceptedAt time.Time `json:"accepted_at"`
	FinishedAt time.Time `json:"finished_at"`
	Guards     []struct {
		Guard, Verdict, Reason string
	} `json:"guards"`
	Steps []Step `json:"steps"`
}

// Step is a step of a run.
type Step struct {
	Action      string    `json:"action"`
	URL         string    `json:"url"`
	Member      string    `json:"member"`
	StartedAt   time.Time `json:"started_at"`
	FinishedAt  time.Time `json:"finished_at"`
	BeforeBytes int64     `json:"before_bytes"`
	AfterBytes  int64     `json:"after_bytes"`
	Keys        int64     `json:"keys"`
	Error       string    `json:"error"`
}

// RefusedBy lists the guards that refuse or cannot tell.
func (r Run) RefusedBy() []string {
	var names []string
	for _, g := range r.Guards {
		if g.Verdict != "allow" {
			names = append(names, g.Guard)
		}
	}
	return names
}

// Runs are all runs of the remediator, the newest first.
func (s *Stack) Runs(ctx context.Context) (runs []Run, err error) {
	err = get(ctx, s.Remediator.URL+"/api/v1/runs", &runs)
	return runs, err
}
