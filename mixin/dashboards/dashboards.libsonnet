// The dashboards, by the name of their file, each in a file of its subject.
{
  local config = $._config,
  local d = (import '../lib/dashboard.libsonnet')(config),

  grafanaDashboards+:: {
    'etcdops-overview.json': (import 'overview.libsonnet')(config, d),
  },
}
