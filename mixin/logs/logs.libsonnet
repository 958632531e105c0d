// Alerts on what the members log, for Loki's ruler. They tell of what no metric does, or
// speak where there are no metrics. Each expression takes the lines of etcd 3.5 and later
// (JSON) and of 3.4's old text alike.
{
  local config = $._config,
  local lib = (import '../lib/alert.libsonnet')(config),

  // Lines of each member that the stages let through.
  local lines(stages, range) = 'sum by (%s, %s) (\n  count_over_time(\n    {%s}\n      %s\n    [%s]\n  )\n)' % [
    config.clusterLabel,
    config.instanceLabel,
    config.logSelector,
    std.join('\n      ', stages),
    lib.scaled(range),
  ],
  local alert(name, severity, heading, stages, least, summary, description, range=config.logRange) =
    lib.alert(name, severity, '0m', '%s >= %.12g' % [lines(stages, range), least], summary, description) + {
      annotations+: { runbook_url: config.logsURLPattern % heading },
    },

  local where = '{{ $labels.%s }} of cluster {{ $labels.%s }}' % [config.instanceLabel, config.clusterLabel],
  local within = ' within ' + config.logRange,

  lokiAlerts+:: {
    groups+: [
      lib.group('logs', [
        alert(
          'EtcdLogNoSpace',
          'critical',
          'database-space-exceeded',
          // The first three are a member's own, the next two a probe's, the last a client's.
          ['|~ `etcdserver: no space|exceeded backend quota|alarm NOSPACE raised|"alarm raised".*NOSPACE|alarm:NOSPACE|database space exceeded`'],
          1,
          'A member says that the database is full.',
          'The log of %s tells of a full database, {{ $value }} times%s: writes are refused.' % [where, within],
        ),
        alert(
          'EtcdLogCorrupt',
          'critical',
          'corruption',
          ['|~ `hashes must match|hash mismatch|expected hash|data inconsistency|alarm CORRUPT raised|"alarm raised".*CORRUPT|alarm:CORRUPT|corrupt cluster`'],
          1,
          'A member says that the data of the members differ.',
          'The log of %s tells of data that differ between members, {{ $value }} times%s.' % [where, within],
        ),
        alert(
          'EtcdLogLostLeader',
          'warning',
          'lost-leader',
          ['|= `raft.node:`', '|= `lost leader`'],
          config.lostLeaders,
          'A member lost its leader again and again.',
          '%s lost its leader {{ $value }} times within %s.' % [where, config.lostLeaderRange],
          range=config.lostLeaderRange,
        ),
        alert(
          'EtcdLogSlowApply',
          'warning',
          'slow-apply',
          [
            '|= `took too long`',
            '| regexp `took too long(?:","took":"| \\()(?P<took>[0-9a-zµ.]+)`',
            '| took > ' + config.slowApply,
          ],
          config.slowApplies,
          'A member takes long to apply requests.',
          '%s took more than %s for a request {{ $value }} times%s.' % [where, config.slowApply, within],
        ),
        alert(
          'EtcdLogSlowDisk',
          'warning',
          'slow-disk',
          ['|~ `slow fdatasync|sync duration of`'],
          config.slowSyncs,
          'The disk of a member takes more than a second for a sync.',
          'The disk of %s took more than a second to sync the log of raft, {{ $value }} times%s.' % [where, within],
        ),
        alert(
          'EtcdLogClockDrift',
          'warning',
          'clock-drift',
          ['|~ `prober found high clock drift|the clock difference against peer`'],
          config.clockDrifts,
          'A member sees that the clock of another is behind.',
          '%s found clocks of other members more than a second behind its own, {{ $value }} times%s.' % [where, within],
        ),
        alert(
          'EtcdLogRejectedConnection',
          'warning',
          'rejected-connection',
          // Who hangs up was not rejected, and at its own end a member hangs up on all.
          ['|= `rejected connection`', '!~ `EOF|connection reset by peer|use of closed network connection`'],
          config.rejectedConnections,
          'A member rejects connections.',
          '%s rejected {{ $value }} connections%s, most often for a certificate: the lines tell whose and why.' % [where, within],
        ),
      ]),
    ],
  },
}
