// The groups of alerts, each in a file of its name.
{
  local config = $._config,
  local lib = (import '../lib/alert.libsonnet')(config),
  local group(name, make) = if config.groups[name] then [lib.group(name, make(config, lib))] else [],

  prometheusAlerts+:: {
    groups+:
      group('cluster', import 'cluster.libsonnet') +
      group('membership', import 'membership.libsonnet') +
      group('integrity', import 'integrity.libsonnet') +
      group('space', import 'space.libsonnet') +
      group('keyspace', import 'keyspace.libsonnet') +
      group('clock', import 'clock.libsonnet') +
      group('certificates', import 'certificates.libsonnet') +
      group('backups', import 'backups.libsonnet') +
      group('exporter', import 'exporter.libsonnet') +
      group('performance', import 'performance.libsonnet') +
      group('errorbudget', import 'errorbudget.libsonnet') +
      group('remediation', import 'remediation.libsonnet'),
  },
}
