// The dashboards, by the name of their file, each in a file of its subject.
{
  local config = $._config,
  local d = (import '../lib/dashboard.libsonnet')(config),

  grafanaDashboards+:: {
    'etcdops-overview.json': (import 'overview.libsonnet')(config, d),
    'etcdops-member.json': (import 'member.libsonnet')(config, d),
    'etcdops-storage.json': (import 'storage.libsonnet')(config, d),
    'etcdops-backups.json': (import 'backups.libsonnet')(config, d),
    'etcdops-remediation.json': (import 'remediation.libsonnet')(config, d),
  },
}
