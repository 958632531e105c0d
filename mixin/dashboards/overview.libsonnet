// Is it healthy? One screen, the worst first, for no, one or many clusters.
function(config, d)
  local cluster = config.clusterLabel;
  local share = '%s / %s' % [d.max(d.exporter('endpoint_db_size_bytes'), ['url']), d.max(d.exporter('endpoint_db_quota_bytes'), ['url'])];
  local quota = d.max(share);
  local leader = d.max(d.exporter('cluster_has_leader'));
  local tolerance = d.max(d.exporter('cluster_failure_tolerance'));
  // Intervals of its store since the newest backup that is sound, or that nobody judges.
  local backup = |||
    max by (%(cluster)s) (
      (time() - (%(sound)s or %(newest)s unless on (%(cluster)s, store) %(verified)s))
      / on (%(cluster)s, store) %(interval)s
    )
  ||| % {
    cluster: cluster,
    sound: d.max(d.exporter('backup_sound_timestamp_seconds'), ['store']),
    newest: d.max(d.exporter('backup_timestamp_seconds'), ['store']),
    verified: d.max(d.exporter('backup_verified'), ['store']),
    interval: d.max(d.exporter('backup_interval_seconds'), ['store']),
  };
  local certificate = '(%s - time()) / 86400' % d.min(d.exporter('certificate_not_after_timestamp_seconds', ['role!="issuer"']));
  local firing(severity) = d.by('count', [], d.alerts(['severity="%s"' % severity]));
  local none(expr) = '%s or 0 * %s' % [expr, d.max(d.exporter('endpoint_up'))];

  // 3: writes fail, or a critical alert fires. 2: a member is down, or a warning fires.
  // 1: something to know. A member that the exporter may not speak to says nothing of
  // the cluster's leader.
  local status =
    local because(text, expr) = 'label_replace(%s, "because", "%s", "", "")' % [expr, text];
    local seen(expr) = '(%s unless on (%s) %s == 1)' % [expr, cluster, d.max(d.exporter('endpoint_failure', ['reason=~"tls|auth|dns"']))];
    d.max(std.join('\nor ', [
      because('leader', '3 * ' + seen('%s == bool 0' % leader)),
      because('quorum', '3 * ' + seen('%s < bool 0' % tolerance)),
      because('alarm', '3 * ' + d.max(d.exporter('alarm_active'))),
      because('member', '2 * (%s == bool 0)' % d.min(d.exporter('endpoint_up'))),
    ] + [
      because(s[0], '%d * (%s > bool 0)' % [s[1], firing(s[0])])
      for s in [['critical', 3], ['warning', 2], ['info', 1]]
    ])) + ' and on (%s) %s' % [cluster, d.max(d.exporter('endpoint_up'))];

  local c = d.colors;
  local states = d.words({
    '0': ['healthy', c.green],
    '1': ['to know', c.sky],
    '2': ['degraded', c.orange],
    '3': ['critical', c.vermillion],
  });
  local yesNo = d.words({ '0': ['none', c.vermillion], '1': ['yes', c.none] });
  local quotaSteps = d.rising(config.quotaLowWarning, config.quotaLowCritical, c.none);
  local alertSteps = function(color) d.steps([[null, c.none], [1, color]]);

  d.dashboard('etcdops-overview', 'Overview', 'Is every etcd cluster healthy? The worst comes first.', [
    d.stat(
      'Clusters',
      'Clusters that an exporter watches, of those chosen above.',
      'count(%s) or vector(0)' % d.max(d.exporter('endpoint_up')),
      thresholds=d.steps([[null, c.vermillion], [1, c.blue]]),
      w=3,
    ),
    d.stat(
      'No quorum',
      'Clusters without a leader, or with fewer healthy voters than a quorum needs: they cannot write. An exporter whose own credentials are refused counts a cluster here, too (EtcdExporterBlind tells).',
      'count(%s == 0 or %s < 0) or vector(0)' % [leader, tolerance],
      thresholds=d.rising(1e9, 1),
      mappings=d.words({ '0': ['none', c.green] }),
      w=3,
    ) + { fieldConfig+: { defaults+: { thresholds: d.steps([[null, c.green], [1, c.vermillion]]) } } },
    d.stat(
      'No spare',
      'Clusters of more than one voter that would lose their quorum with one more failure.',
      'count(%s == 0 and on (%s) %s > 1) or vector(0)' % [tolerance, cluster, d.max(d.exporter('cluster_members', ['role="voter"']))],
      thresholds=d.rising(1),
      mappings=d.words({ '0': ['none', c.green] }),
      w=3,
    ),
    d.stat(
      'Critical',
      'Alerts of severity critical that fire for the clusters chosen, or for no cluster.',
      'count(%s) or vector(0)' % d.alerts(['severity="critical"']),
      thresholds=d.steps([[null, c.green], [1, c.vermillion]]),
      mappings=d.words({ '0': ['none', c.green] }),
      w=3,
    ),
    d.stat(
      'Warnings',
      'Alerts of severity warning that fire.',
      'count(%s) or vector(0)' % d.alerts(['severity="warning"']),
      thresholds=d.rising(1),
      mappings=d.words({ '0': ['none', c.green] }),
      w=3,
    ),
    d.stat(
      'Fullest',
      'Size of the database file as a share of its quota, of the member where it is highest. Coloured from EtcdQuotaLow on.',
      'max(%s)' % share,
      'percentunit',
      d.rising(config.quotaLowWarning, config.quotaLowCritical),
      none='unknown',
      w=3,
      decimals=1,
    ),
    d.stat(
      'Backup age',
      'Age of the newest sound backup in intervals of its store, of the store where it is highest. Coloured from EtcdBackupTooOld on.',
      'max(%s)' % std.rstripChars(backup, '\n'),
      'suffix: intervals',
      d.rising(config.backupWarningIntervals, config.backupCriticalIntervals),
      none='no store',
      w=3,
      decimals=1,
    ),
    d.stat(
      'Certificates',
      'The certificate of a member or of the exporter that ends first; CAs are on the dashboard Backups and certificates. Coloured from EtcdCertificateExpiring on.',
      'min(%s)' % certificate,
      'suffix: days',
      d.falling(config.certificateWarningDays, config.certificateCriticalDays),
      none='no TLS',
      w=3,
      decimals=0,
    ),
    d.table(
      'Clusters',
      'One row a cluster, the worst first. Status: critical where writes fail or a critical alert fires, degraded where a member is down or a warning fires. A click on a name leads to its members.',
      [
        d.label(cluster, 'Cluster', links=[d.toDashboard('etcdops-member', 'Members'), d.toDashboard('etcdops-storage', 'Keyspace and storage')]),
        d.value(status, 'Status', mappings=states, width=100),
        d.value(leader, 'Leader', mappings=yesNo, width=80),
        d.value(d.sum(d.max(d.exporter('endpoint_up'), ['url'])), 'Up', width=60),
        d.value(d.by('count', [], d.max(d.exporter('endpoint_up'), ['url'])), 'Of', width=60),
        d.value(tolerance, 'May still fail', thresholds=d.steps([[null, c.vermillion], [0, c.orange], [1, c.none]]), width=120),
        d.value(quota, 'Quota used', 'percentunit', thresholds=quotaSteps, decimals=1, width=105),
        d.value(std.rstripChars(backup, '\n'), 'Backup age', 'suffix: intervals', thresholds=d.rising(config.backupWarningIntervals, config.backupCriticalIntervals, c.none), decimals=1, width=130),
        d.value(certificate, 'Certificates', 'suffix: days', thresholds=d.falling(config.certificateWarningDays, config.certificateCriticalDays, c.none), decimals=0, width=120),
        d.value(none(firing('critical')), 'Critical', thresholds=alertSteps(c.vermillion), width=90),
        d.value(none(firing('warning')), 'Warnings', thresholds=alertSteps(c.orange), width=95),
      ],
      ['-Status', '-Quota used'],
      none='no cluster is watched',
      h=7,
    ),
    d.table(
      'Firing alerts',
      'What fires now, critical first. A click on a name opens its runbook.',
      [
        d.label('severity', 'Severity', width=90),
        d.label('alertname', 'Alert', links=[d.toRunbook]),
        d.label(cluster, 'Cluster'),
        d.label('url', 'Endpoint'),
        d.label('instance', 'Instance'),
        d.label('store', 'Store', width=90),
        d.label('policy', 'Policy', width=90),
        d.value('count by (severity, alertname, %s, url, instance, store, policy) (%s)' % [cluster, d.alerts()], 'Count', width=70),
      ],
      ['Severity', 'Alert'],
      none='nothing fires',
      w=14,
      h=8,
    ),
    d.graph(
      'Members that may still fail',
      'Healthy voters less those that a quorum needs. Below the line at 0 the cluster cannot write; EtcdNoFaultTolerance is told at 0.',
      [d.query(tolerance, d.cluster)],
      thresholds=d.steps([[null, c.vermillion], [0, c.orange], [1, c.none]]),
      w=10,
      h=8,
      legend=['min', 'lastNotNull'],
      decimals=0,
      softMax=2,
    ),
    d.graph(
      'Quota used',
      'Size of the database file as a share of its quota, of the fullest member. Lines: EtcdQuotaLow.',
      [d.query(quota, d.cluster)],
      'percentunit',
      quotaSteps,
      min=0,
      max=1,
    ),
    d.graph(
      'Time of a linearizable read',
      'How long a read through the quorum takes, of the slowest member. Line: EtcdRequestsSlow.',
      [d.query(d.max(d.exporter('endpoint_check_duration_seconds', ['check="linearizable_read"'])), d.cluster)],
      's',
      d.rising(config.readSlow, null, c.none),
      min=0,
    ),
    d.graph(
      'Requests that fail',
      "Unary requests that fail by a fault of etcd, as a share of all. From etcd's own metrics. Line: the share that may fail (EtcdErrorBudgetBurn).",
      [d.query(|||
        %(failed)s
        / on (%(cluster)s) %(all)s
      ||| % {
        cluster: cluster,
        failed: d.sum('rate(%s[$__rate_interval])' % d.native('grpc_server_handled_total', ['grpc_type="unary"', 'grpc_code=~"Unknown|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded"'])),
        all: d.sum('rate(%s[$__rate_interval])' % d.native('grpc_server_handled_total', ['grpc_type="unary"'])),
      }, d.cluster)],
      'percentunit',
      d.rising(1 - config.errorBudgetTarget, null, c.none),
      min=0,
      softMax=0.01,
    ),
  ])
