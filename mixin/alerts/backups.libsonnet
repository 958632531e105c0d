// Whether there is a backup, how old it is, and whether it could be restored.
function(config, lib)
  local cluster = lib.labels();
  local store = lib.labels(['store']);
  local last(name, offset='') =
    'last_over_time(%s[%s]%s)' % [lib.exporter(name), lib.scaled('10m'), if offset == '' then '' else ' offset ' + lib.scaled(offset)];
  local newest(name, offset='') = lib.max(last(name, offset), ['store']);

  // The newest sound file; the newest of all where nothing is judged, or none is sound:
  // then EtcdBackupVerifyFailed tells of that, and this one still asks for a new one.
  local good = '(%s or on (%s) %s)' % [newest('backup_sound_timestamp_seconds'), store, newest('backup_timestamp_seconds')];
  local tooOld(severity, intervals) = lib.alert(
    'EtcdBackupTooOld',
    severity,
    '15m',
    |||
      time() - %(good)s
      > on (%(store)s) %(intervals).12g * %(interval)s
    ||| % { good: good, store: store, intervals: intervals, interval: newest('backup_interval_seconds') },
    'There is no recent backup that is sound.',
    'The newest sound backup of cluster {{ $labels.cluster }} in {{ $labels.store }} is {{ $value | humanizeDuration }} old, more than %g times the interval at which one is due.' % intervals,
  );

  [
    tooOld('warning', config.backupWarningIntervals),
    tooOld('critical', config.backupCriticalIntervals),
    // A store that cannot be listed tells nothing: EtcdBackupStoreDown does.
    lib.alert(
      'EtcdBackupMissing',
      'critical',
      '1h',
      |||
        %(files)s == 0
        unless on (%(store)s) %(up)s == 0
      ||| % { files: newest('backup_files'), store: store, up: newest('backup_store_up') },
      'A backup store holds no snapshot at all.',
      'The store {{ $labels.store }} of cluster {{ $labels.cluster }} holds {{ $value }} snapshots: nothing could be restored from it.',
    ),
    lib.alert(
      'EtcdBackupStoreDown',
      'warning',
      '1h',
      newest('backup_store_up') + ' == 0',
      'A backup store cannot be listed.',
      'The store {{ $labels.store }} of cluster {{ $labels.cluster }} cannot be listed (up: {{ $value }}): whether there is a backup is not known.',
    ),
    // A judge that is wrong is no excuse: whichever exporter finds a fault.
    lib.alert(
      'EtcdBackupVerifyFailed',
      'critical',
      '5m',
      lib.min(last('backup_verified'), ['store']) + ' == 0',
      'The newest backup is damaged.',
      'The newest snapshot of cluster {{ $labels.cluster }} in {{ $labels.store }} is not sound (verified: {{ $value }}); etcdops_backup_problem has the reason.',
    ),
    // A weekly backup is judged once a week.
    lib.alert(
      'EtcdBackupVerifyStale',
      'warning',
      '1h',
      |||
        (time() - %(judged)s) > %(age).12g
        unless on (%(store)s) (time() - %(judged)s) <= on (%(store)s) 1.5 * %(interval)s
      ||| % {
        store: store,
        judged: newest('backup_verified_timestamp_seconds'),
        age: config.verifyAgeDays * 86400 / config.timeScale,
        interval: newest('backup_interval_seconds'),
      },
      'The newest backup was judged long ago.',
      'The newest snapshot of cluster {{ $labels.cluster }} in {{ $labels.store }} was judged {{ $value | humanizeDuration }} ago: either it is as old as that, or nobody looks any more.',
    ),
    // The size before compression, and the least that any member holds: a snapshot has no
    // more than what its member had in use, and often less than a fragmented file.
    lib.alert(
      'EtcdBackupShrunk',
      'warning',
      '15m',
      |||
        %(size)s
        / on (%(cluster)s) group_left () min by (%(cluster)s) (%(inUse)s) < %(share).12g
      ||| % {
        cluster: cluster,
        size: newest('backup_uncompressed_size_bytes'),
        inUse: last('endpoint_db_in_use_bytes'),
        share: config.backupShrunk,
      },
      'The newest backup is far smaller than the database.',
      'The newest snapshot of cluster {{ $labels.cluster }} in {{ $labels.store }} has {{ $value | humanizePercentage }} of the size that the smallest member has in use: it may be of another cluster, or of one that was empty.',
    ),
    // Fresh file, old data: a newer file than then with the same revision, though the
    // cluster's grew. What went back was restored, and is another alert's.
    lib.alert(
      'EtcdBackupNotAdvancing',
      'warning',
      '1h',
      |||
        (%(time)s > on (%(store)s) %(timeThen)s)
        and on (%(store)s) %(revision)s == on (%(store)s) %(revisionThen)s
        and on (%(cluster)s) %(now)s > on (%(cluster)s) %(then)s
      ||| % {
        store: store,
        cluster: cluster,
        time: newest('backup_timestamp_seconds'),
        timeThen: newest('backup_timestamp_seconds', config.backupAdvance),
        revision: newest('backup_revision'),
        revisionThen: newest('backup_revision', config.backupAdvance),
        now: lib.max(last('cluster_revision')),
        // What the cluster had by the time of that older file, and some.
        'then': lib.max(last('cluster_revision', config.backupAdvance)),
      },
      'New backups hold old data.',
      'The snapshots of cluster {{ $labels.cluster }} in {{ $labels.store }} are written anew, the last on {{ $value | humanizeTimestamp }}, and still have the revision of ' + config.backupAdvance + ' ago, while the cluster went on.',
    ),
    lib.alert(
      'EtcdRestoreDrillFailed',
      'critical',
      '5m',
      newest('backup_restore_drill_success') + ' == 0',
      'A backup could not be restored.',
      'The last restore drill on {{ $labels.store }} of cluster {{ $labels.cluster }} failed (success: {{ $value }}): its result file says at what.',
    ),
  ]
