// SPDX-License-Identifier: Apache-2.0

package collector

import "github.com/prometheus/client_golang/prometheus"

var exporterMetrics = []Metric{
	gauge("exporter_collector_success", "1 when the collector learned all it asks for in this scrape. An endpoint that is down is no failure: endpoint_up tells it.", "collector"),
	gauge("exporter_collector_duration_seconds", "How long the collector took in this scrape.", "collector"),
	{"exporter_rpc_errors_total", "Requests to the cluster's endpoints that failed since the cluster was configured, expected refusals left out. code is gRPC's.", prometheus.CounterValue, []string{"method", "code"}},
}

// processMetrics are on /metrics alone, beside build information, go_ and process_.
var processMetrics = []Metric{
	gauge("exporter_config_last_reload_successful", "1 when the configuration was read well the last time it was read."),
	gauge("exporter_config_last_reload_success_timestamp_seconds", "Unix time at which the configuration was last read well."),
}

// ExporterMetrics are the metrics that the exporter adds to each cluster's scrape.
func ExporterMetrics() []Metric { return exporterMetrics }

// ProcessMetrics are what the exporter says of itself on /metrics: how the last
// reading of the configuration went, and when it last went well.
func ProcessMetrics() []Metric { return processMetrics }
