// Could we restore, and until when do the certificates hold?
function(config, d)
  local cluster = config.clusterLabel;
  local c = d.colors;
  local store(name) = d.max(d.exporter(name), ['store']);
  local line = '{{%s}} {{store}}' % cluster;
  local intervals(timestamp) = '(time() - %s) / %s' % [timestamp, store('backup_interval_seconds')];
  // The newest that is sound; the newest of a store whose files nobody judges.
  local usable = '(%s or %s unless on (%s, store) %s)' % [store('backup_sound_timestamp_seconds'), store('backup_timestamp_seconds'), cluster, store('backup_verified')];
  local age = intervals(usable);
  local ageSteps = function(good) d.rising(config.backupWarningIntervals, config.backupCriticalIntervals, good);
  local days(expr) = '(%s - time()) / 86400' % expr;
  local leaf = d.min(d.exporter('certificate_not_after_timestamp_seconds', ['role!="issuer"']), ['role', 'url', 'subject']);
  local issuer = d.min(d.exporter('certificate_not_after_timestamp_seconds', ['role="issuer"']), ['role', 'url', 'subject']);
  local judged = d.words({ '0': ['not sound', c.vermillion], '1': ['sound', c.none] });
  local noneYet = d.steps([[null, c.green], [1, c.vermillion]]);
  local certificates(title, description, expr, warning, critical, w) = d.table(
    title,
    description,
    [
      d.label(cluster, 'Cluster', width=100),
      d.label('role', 'Role', width=70),
      d.label('url', 'Endpoint', width=180),
      d.label('subject', 'Subject'),
      d.value(days(expr), 'Days left', thresholds=d.falling(warning, critical, c.none), decimals=1, width=90),
    ],
    ['Days left'],
    none='no TLS',
    w=w,
    h=8,
  );

  d.dashboard('etcdops-backups', 'Backups and certificates', 'Could etcd be restored from last night, and until when do its certificates hold?', [
    d.stat('Stores', 'Stores of the clusters chosen.', 'count(%s) or vector(0)' % store('backup_store_up'), w=3),
    d.stat('Empty', 'Stores in which there is none at all (EtcdBackupMissing).', 'count(%s unless on (%s, store) %s) or vector(0)' % [store('backup_store_up'), cluster, store('backup_timestamp_seconds')], thresholds=noneYet, mappings=d.words({ '0': ['none', c.green] }), w=3),
    d.stat('Unreadable', 'Stores that could not be listed (EtcdBackupStoreDown).', 'count(%s == 0) or vector(0)' % store('backup_store_up'), thresholds=noneYet, mappings=d.words({ '0': ['none', c.green] }), w=3),
    d.stat('Not sound', 'Stores whose newest file could not be restored (EtcdBackupVerifyFailed).', 'count(%s == 0) or vector(0)' % store('backup_verified'), thresholds=noneYet, mappings=d.words({ '0': ['none', c.green] }), w=3),
    d.stat('Backup age', 'Age of the newest sound file in intervals of its store, of the store where it is highest. Coloured from EtcdBackupTooOld on.', 'max(%s)' % age, 'suffix: intervals', ageSteps(c.green), none='no store', w=3, decimals=1),
    d.stat('Last drill', 'Time since the oldest of the last drills that brought a snapshot back to life.', 'time() - min(%s and on (%s, store) %s == 1)' % [store('backup_restore_drill_timestamp_seconds'), cluster, store('backup_restore_drill_success')], 's', none='no drill', w=3, decimals=0),
    d.stat('Certificates', 'Days until the first one ends. Coloured from EtcdCertificateExpiring on.', 'min(%s)' % days(leaf), 'suffix: days', d.falling(config.certificateWarningDays, config.certificateCriticalDays), none='no TLS', w=3, decimals=0),
    d.stat('CAs', 'Days until the first one ends. Coloured from EtcdCAExpiring on.', 'min(%s)' % days(issuer), 'suffix: days', d.falling(config.caWarningDays), none='no TLS', w=3, decimals=0),
    d.table(
      'Stores',
      'One row a store, the oldest backup first. Revision and keys are those of the newest file; behind: revisions that the cluster has made since.',
      [
        d.label(cluster, 'Cluster', width=100),
        d.label('store', 'Store'),
        d.value(store('backup_store_up'), 'Readable', mappings=d.words({ '0': ['no', c.vermillion], '1': ['yes', c.none] }), width=85),
        d.value(store('backup_files'), 'Files', 'short', width=65),
        d.value(age, 'Age', 'suffix: intervals', thresholds=ageSteps(c.none), decimals=1, width=115),
        d.value('time() - ' + usable, 'Age in time', 's', decimals=1, width=100),
        d.value(store('backup_verified'), 'Newest file', mappings=judged, width=95),
        d.value('time() - %s' % store('backup_verified_timestamp_seconds'), 'Judged', 's', thresholds=d.rising(config.verifyAgeDays * 86400, null, c.none), decimals=1, width=90),
        d.value(store('backup_size_bytes'), 'Size', 'bytes', decimals=1, width=90),
        d.value(store('backup_revision'), 'Revision', 'short', width=90),
        d.value('%s - on (%s) group_right () %s' % [d.max(d.exporter('cluster_revision')), cluster, store('backup_revision')], 'Behind', 'short', width=80),
        d.value(store('backup_keys'), 'Keys', 'short', width=80),
        d.value(store('backup_restore_drill_success'), 'Drill', mappings=d.words({ '0': ['failed', c.vermillion], '1': ['restored', c.none] }), width=90),
      ],
      ['-Age'],
      none='no store is configured',
      h=7,
    ),
    d.table(
      'What is wrong in the stores',
      'With the newest file, or with another entry; docs/backups.md has the reasons.',
      [
        d.label(cluster, 'Cluster', width=100),
        d.label('store', 'Store', width=110),
        d.label('reason', 'Reason'),
        d.value(d.max(d.exporter('backup_problem'), ['store', 'reason']), 'Now', width=60),
      ],
      ['Cluster'],
      none='nothing is wrong',
      w=8,
      h=7,
    ),
    d.graph('Age in intervals', 'It should be a saw between 0 and 1. Lines: EtcdBackupTooOld.', [d.query(age, line)], 'none', ageSteps(c.none), min=0, none='no store', decimals=1),
    d.graph('Size of the newest snapshot', "Uncompressed, beside the smallest in-use size of the cluster's members. EtcdBackupShrunk tells of less than %g %% of it." % (100 * config.backupShrunk), [
      d.query(store('backup_uncompressed_size_bytes'), line),
      d.query(d.min(d.max(d.exporter('endpoint_db_in_use_bytes'), ['url'])), '{{%s}} in use' % cluster),
    ], 'bytes', min=0),
    certificates('Certificates', "Those that the members present, to clients and to each other, and the exporter's own. Coloured from EtcdCertificateExpiring on.", leaf, config.certificateWarningDays, config.certificateCriticalDays, 12),
    certificates('Authorities', 'CAs in the chains that the members present. Coloured from EtcdCAExpiring on.', issuer, config.caWarningDays, null, 12),
  ])
