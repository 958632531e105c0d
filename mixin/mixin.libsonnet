// The bundle in the form that mixins have: prometheusAlerts, prometheusRules and
// grafanaDashboards, made from _config; lokiAlerts beside them.
(import 'config.libsonnet') +
(import 'alerts/alerts.libsonnet') +
(import 'rules/rules.libsonnet') +
(import 'logs/logs.libsonnet') +
(import 'dashboards/dashboards.libsonnet')
