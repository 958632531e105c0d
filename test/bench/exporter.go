// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// exporter is a running etcd_exporter.
type exporter struct {
	cmd     *exec.Cmd
	address string
}

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

func start(ctx context.Context, program string, args ...string) (*exporter, error) {
	e := &exporter{cmd: exec.CommandContext(ctx, program, append(args, "--web.listen-address=127.0.0.1:0")...)}
	log, err := e.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			e.address = m[1]
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return e, nil
		}
	}
	return nil, errors.New("the exporter ended before it listened")
}

func (e *exporter) stop() {
	_ = e.cmd.Process.Signal(syscall.SIGTERM)
	_ = e.cmd.Wait()
}

// scrape gives what a path answers, and how long that took.
func (e *exporter) scrape(ctx context.Context, path string) (map[string]*dto.MetricFamily, time.Duration, error) {
	begin := time.Now()
	body, err := fetch(ctx, http.DefaultClient, "http://"+e.address+path)
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(begin)
	families, err := parse(body)
	return families, took, err
}

func fetch(ctx context.Context, client *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return string(body), err
}

func parse(body string) (map[string]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(body))
}

// values gives the values of a metric whose label values hold all the words.
func values(families map[string]*dto.MetricFamily, name string, words ...string) []float64 {
	var found []float64
metrics:
	for _, m := range families[name].GetMetric() {
		var labels strings.Builder
		for _, l := range m.GetLabel() {
			labels.WriteString(l.GetValue() + "\n")
		}
		for _, word := range words {
			if !strings.Contains(labels.String(), word) {
				continue metrics
			}
		}
		found = append(found, m.GetGauge().GetValue()+m.GetCounter().GetValue()+m.GetUntyped().GetValue())
	}
	return found
}

func sum(all []float64) float64 {
	total := 0.0
	for _, v := range all {
		total += v
	}
	return total
}
